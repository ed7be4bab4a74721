"""Deterministic pictures and probabilities. Integers all the way, so that every machine makes the same bytes."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from s2m_edge.apps.vectors.cases import Case
from s2m_edge.imaging.preprocess import LUMA

ROUNDING_MARGIN = 5e-4
"""Levels. Float32 errors of a resize stay below 1e-4, so nothing this far from a half is rounded either way."""
DECISION_MARGIN = 1e-6
"""Probability. Float32 errors of a resize of probabilities stay below 3e-7."""
DENOMINATOR = 4096
"""Probabilities are multiples of 1/4096: exact in float32."""


def random_picture(case: Case) -> NDArray[np.uint8]:
    """RGB height x width x 3: blobs with noise, moved by single levels until no fitted value is near a half."""
    generator = _generator(case.name)
    smooth = smooth_field(generator, 3, case.height, case.width, 255).transpose(1, 2, 0)
    noise = generator.integers(-24, 25, smooth.shape)
    picture = np.clip(smooth + noise, 0, 255).astype(np.uint8)
    return _settle(picture, case)


def random_probabilities(case: Case) -> NDArray[np.float32]:
    """Classes x height x width of the network: blobs; no decision in the original size is close, unless the case wants
    that."""
    given = case.preprocessing
    for attempt in range(1000):
        generator = _generator(f"{case.name}/{attempt}")
        scores = smooth_field(generator, case.classes, given.height, given.width, DENOMINATOR)
        if case.classes > 1:
            scores = (scores + 1) ** 2 * DENOMINATOR // ((scores + 1) ** 2).sum(axis=0)
        if case.exact:
            _make_exact(scores, case)
        probabilities = (scores / DENOMINATOR).astype(np.float32)
        if case.exact and case.threshold != 0.5:
            probabilities[:, ::5] = np.float32(case.threshold)
        if case.exact or _decision_margin(probabilities, case) > DECISION_MARGIN:
            return probabilities
    raise RuntimeError(f"no probabilities without close decisions were found for {case.name}")


def exact_weights(length: int, new_length: int) -> NDArray[np.float64]:
    """The resize rule once more, written as a loop in float64 and apart from the definition, to measure margins."""
    weights = np.zeros((new_length, length))
    radius = max(1.0, length / new_length)
    for target in range(new_length):
        centre = (target + 0.5) * length / new_length - 0.5
        for source in range(length):
            weights[target, source] = max(0.0, 1.0 - abs(source - centre) / radius)
        weights[target] /= weights[target].sum()
    return weights


def _generator(name: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(name.encode()))


def smooth_field(generator: np.random.Generator, planes: int, height: int, width: int, top: int) -> NDArray[np.int64]:
    """Planes x height x width, 0..top: noise under a box of a quarter of the side, spread over the whole range."""
    box = max(2, height // 4), max(2, width // 4)
    noise = generator.integers(0, 1024, (planes, height + box[0], width + box[1]))
    total = np.pad(noise.cumsum(axis=1).cumsum(axis=2), ((0, 0), (1, 0), (1, 0)))
    rows, columns = box
    sums = (
        total[:, rows:, columns:]
        - total[:, :-rows, columns:]
        - total[:, rows:, :-columns]
        + total[:, :-rows, :-columns]
    )
    sums = sums[:, :height, :width]
    low, high = int(sums.min()), int(sums.max())
    return (sums - low) * top // max(1, high - low)


def dyadic(weights: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Per row, whether its weights are multiples of 1/64, with which every resize of 8-bit values is exact."""
    return (weights * 64 == np.floor(weights * 64)).all(axis=1)


def close_to_a_half(picture: NDArray[np.uint8], case: Case) -> NDArray[np.int64]:
    """Channel, row and column of the fitted values that a rounding error could push to another level, N x 3."""
    given = case.preprocessing
    grey = given.channels == 1
    rows, columns = exact_weights(case.height, given.height), exact_weights(case.width, given.width)
    planes = picture.astype(np.float64).transpose(2, 0, 1)
    if grey:
        planes = np.tensordot(LUMA.astype(np.float64), planes, axes=1)[None]
    fitted = rows @ planes @ columns.T
    close = np.abs(fitted - np.floor(fitted) - 0.5) < ROUNDING_MARGIN
    if case.exact:
        close &= ~(dyadic(rows)[:, None] & dyadic(columns))
    return np.argwhere(close)


def _settle(picture: NDArray[np.uint8], case: Case) -> NDArray[np.uint8]:
    given = case.preprocessing
    rows, columns = exact_weights(case.height, given.height), exact_weights(case.width, given.width)
    settled = picture.copy()
    for _ in range(1000):
        close = close_to_a_half(settled, case)
        if len(close) == 0:
            return settled
        for channel, y, x in close:
            place = int(rows[y].argmax()), int(columns[x].argmax()), min(int(channel), 2)
            settled[place] = settled[place] + 1 if settled[place] < 255 else 254
    raise RuntimeError(f"{case.name} keeps values close to a half")


def _make_exact(scores: NDArray[np.int64], case: Case) -> None:
    if case.classes == 1:
        scores[:, ::3] = DENOMINATOR // 2
        scores[:, 1::3, ::2] = DENOMINATOR // 2 - 1
    else:
        scores[1, ::3] = scores[0, ::3]
        scores[2, :, ::4] = scores[1, :, ::4]


def _decision_margin(probabilities: NDArray[np.float32], case: Case) -> float:
    given = case.preprocessing
    rows, columns = exact_weights(given.height, case.height), exact_weights(given.width, case.width)
    resized = rows @ probabilities.astype(np.float64) @ columns.T
    margins = []
    for values in (probabilities.astype(np.float64), resized):
        if case.classes == 1:
            margins.append(np.abs(values - case.threshold).min())
        else:
            ordered = np.sort(values, axis=0)
            margins.append((ordered[-1] - ordered[-2]).min())
    return float(min(margins))
