"""The one resize rule of the deployment contract, as a pair of small matrices, so that any language can repeat it.

Bilinear with half-pixel centres: a triangle of radius max(1, in / out) around (i + 0.5) * in / out - 0.5, weights
normalised to one, samples outside dropped. Enlarging it is plain bilinear; shrinking it averages (antialiasing).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


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


def resample(planes: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """Resize ... x H x W to ... x height x width, float32, the columns first."""
    rows, columns = planes.shape[-2:]
    if (rows, columns) == (height, width):
        return planes
    narrowed = np.matmul(planes, resample_matrix(columns, width).T, dtype=np.float32)
    return np.matmul(resample_matrix(rows, height), narrowed, dtype=np.float32)
