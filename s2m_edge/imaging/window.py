"""Sliding a network over a picture at its own resolution: where the windows lie, how they are weighed, what they give.

For networks trained on patches (vessels): stretching a picture to their size would thin out what they look for. The
same positions and weights stand in the contract's vectors, and every app computes them from the contract alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from s2m_edge.errors import ConfigurationError, ImageError

Predict = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
Progress = Callable[[int, int], None]

LEAST_WEIGHT = 1e-3
"""Of a window's pixel, where its middle has 1: corners count, however far out."""
MOST_OVERLAP, LEAST_SIGMA, MOST_SIGMA = 0.75, 0.01, 10.0
"""What the schemas of specifications and contracts say, too."""
LARGEST_BAND = 2**30
"""Bytes of sums that may be held at once."""


@dataclass(frozen=True)
class Window:
    """How windows of the network's height and width are laid over a picture.

    Attributes:
        overlap: share of a window's side that the next one covers again, in [0, 0.75].
        sigma: of the Gaussian that weighs a window's pixels, in sides of the window; in [0.01, 10].
    """

    overlap: float = 0.5
    sigma: float = 0.125

    def __post_init__(self) -> None:
        if not (0.0 <= self.overlap <= MOST_OVERLAP and LEAST_SIGMA <= self.sigma <= MOST_SIGMA):
            raise ConfigurationError(
                f"the window has an overlap of {self.overlap} and a sigma of {self.sigma}",
                f"They lie in 0..{MOST_OVERLAP} and {LEAST_SIGMA}..{MOST_SIGMA}.",
            )


def positions(length: int, side: int, overlap: float) -> list[int]:
    """First pixels of the windows along one axis: every floor(side * (1 - overlap)) pixels, the last one moved back so
    that it ends with the picture; one at 0 where the picture is no longer than the window."""
    if length <= side:
        return [0]
    step = max(1, math.floor(side * (1.0 - overlap)))
    count = math.ceil((length - side) / step) + 1
    return [min(index * step, length - side) for index in range(count)]


def weights(height: int, width: int, sigma: float) -> NDArray[np.float64]:
    """Weights height x width: the product of exp(-d^2 / 2 (sigma side)^2) of both axes, d from the middle, no less than
    `LEAST_WEIGHT`."""

    def along(side: int) -> NDArray[np.float64]:
        distance = np.arange(side, dtype=np.float64) - (side - 1) / 2.0
        return np.exp(-(distance**2) / (2.0 * (sigma * side) ** 2))

    return np.maximum(np.outer(along(height), along(width)), LEAST_WEIGHT)


def padding(length: int, side: int) -> int:
    """Black pixels before a picture that is shorter than the window; the others, if one is over, come after it."""
    return max(0, side - length) // 2


def window_count(height: int, width: int, side: tuple[int, int], window: Window) -> int:
    """How many windows cover a picture."""
    rows, columns = (positions(*sides, window.overlap) for sides in zip((height, width), side, strict=True))
    return len(rows) * len(columns)


def crop(image: NDArray[np.uint8], top: int, left: int, side: tuple[int, int]) -> NDArray[np.uint8]:
    """The window of an RGB picture H x W x 3 that begins at (top, left) of the padded picture; black outside."""
    height, width = image.shape[:2]
    before = padding(height, side[0]), padding(width, side[1])
    if before == (0, 0) and height >= side[0] and width >= side[1]:
        return np.ascontiguousarray(image[top : top + side[0], left : left + side[1]])
    result = np.zeros((*side, image.shape[2]), dtype=np.uint8)
    first, last = top - before[0], left - before[1]
    part = image[max(0, first) : first + side[0], max(0, last) : last + side[1]]
    row, column = max(0, -first), max(0, -last)
    result[row : row + part.shape[0], column : column + part.shape[1]] = part
    return result


def middle_window(image: NDArray[np.uint8], side: tuple[int, int]) -> NDArray[np.uint8]:
    """The window in the middle of a picture, as one input that is like all others."""
    height, width = image.shape[:2]
    return crop(image, max(0, height - side[0]) // 2, max(0, width - side[1]) // 2, side)


def bands(
    predict: Predict,
    image: NDArray[np.uint8],
    side: tuple[int, int],
    window: Window,
    progress: Progress = lambda done, total: None,
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Probabilities of a picture at its own resolution, some rows at a time: no more than a window's height of them
    is ever held, so that the memory is that of a strip and not of the picture.

    Args:
        predict: probabilities C x height x width, float32, of an RGB window height x width x 3.
        image: RGB, H x W x 3.
        side: height and width of the window.
        progress: called with windows done and in all.

    Yields:
        The first row, and probabilities C x rows x W, float32.

    Raises:
        ImageError: the picture is so wide that a strip of it would not fit into memory.
    """
    height, width = image.shape[:2]
    rows = positions(height, side[0], window.overlap)
    columns = positions(width, side[1], window.overlap)
    before = padding(height, side[0]), padding(width, side[1])
    padded_width = max(width, side[1])
    weight = weights(*side, window.sigma)
    counted = np.zeros((side[0], padded_width))
    sums: NDArray[np.float64] | None = None
    total = len(rows) * len(columns)
    for index, top in enumerate(rows):
        for number, left in enumerate(columns):
            progress(index * len(columns) + number, total)
            found = predict(crop(image, top, left, side))
            if sums is None:
                if found.shape[0] * counted.nbytes > LARGEST_BAND:
                    raise ImageError(
                        f"a picture {width} pixels wide takes too much memory in windows", "Cut it into parts."
                    )
                sums = np.zeros((found.shape[0], *counted.shape))
            sums[:, :, left : left + side[1]] += weight * found
            counted[:, left : left + side[1]] += weight
        assert sums is not None
        last = index + 1 == len(rows)
        ready = side[0] if last else rows[index + 1] - top
        done = (sums[:, :ready] / counted[:ready]).astype(np.float32)
        yield top, np.ascontiguousarray(done[:, before[0] : before[0] + height, before[1] : before[1] + width])
        sums[:, : side[0] - ready], counted[: side[0] - ready] = sums[:, ready:].copy(), counted[ready:].copy()
        sums[:, side[0] - ready :], counted[side[0] - ready :] = 0.0, 0.0
    progress(total, total)
