"""The one resize rule of the deployment contract, as a pair of small matrices, so that any language can repeat it.

Bilinear with half-pixel centres: a triangle of radius max(1, in / out) around (i + 0.5) * in / out - 0.5, weights
normalised to one, samples outside dropped. Enlarging it is plain bilinear; shrinking it averages (antialiasing).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

TOGETHER = 32
"""Targets that are computed at once: few enough that the sources of all are few."""


@lru_cache(maxsize=32)
def resample_matrix(length: int, new_length: int) -> NDArray[np.float32]:
    """Weights new_length x length, float32; each row sums to one."""
    scale = length / new_length
    radius = max(1.0, scale)
    centres = (np.arange(new_length, dtype=np.float64) + 0.5) * scale - 0.5
    distance = np.abs(np.arange(length, dtype=np.float64)[None, :] - centres[:, None]) / radius
    weights = np.clip(1.0 - distance, 0.0, None)
    matrix: NDArray[np.float32] = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    matrix.setflags(write=False)  # cached: nobody may change it
    return matrix


def resample(planes: NDArray[np.float32 | np.float64 | np.uint8], height: int, width: int) -> NDArray[np.float32]:
    """Resize ... x H x W to ... x height x width, the columns first, summed in float64 and rounded once, to float32.

    In float32 the sums would depend on their order, which no two languages and no two processors share, and a pixel
    half-way between two levels would be one here and the other there.
    """
    rows, columns = planes.shape[-2:]
    if (rows, columns) == (height, width):
        return planes.astype(np.float32, copy=False)
    narrowed = np.empty((*planes.shape[:-1], width), np.float64)
    for here, there, weights in _blocks(columns, width):
        narrowed[..., here] = planes[..., there].astype(np.float64, copy=False) @ weights.T
    resized = np.empty((*planes.shape[:-2], height, width), np.float32)
    for here, there, weights in _blocks(rows, height):
        resized[..., here, :] = weights @ narrowed[..., there, :]
    return resized


@lru_cache(maxsize=32)
def _blocks(length: int, new_length: int) -> tuple[tuple[slice, slice, NDArray[np.float64]], ...]:
    """The matrix in parts, without most of its zeros: which targets, of which sources, with which weights."""
    matrix = resample_matrix(length, new_length).astype(np.float64)
    parts = []
    for start in range(0, new_length, TOGETHER):
        here = slice(start, min(start + TOGETHER, new_length))
        used = np.flatnonzero(matrix[here].any(axis=0))
        there = slice(int(used[0]), int(used[-1]) + 1)
        weights = np.ascontiguousarray(matrix[here, there])
        weights.setflags(write=False)
        parts.append((here, there, weights))
    return tuple(parts)
