"""Window cases: pictures of many sizes, a stand-in for the network that every language computes exactly, and what
sliding it over them gives."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from s2m_edge.apps.vectors.pictures import DECISION_MARGIN, smooth_field
from s2m_edge.imaging.preprocess import Preprocessing, fit_to_network, mask_from_probabilities
from s2m_edge.imaging.window import Window, bands


@dataclass(frozen=True)
class WindowCase:
    """One picture under a network that slides.

    Attributes:
        name, why: as for a case.
        height, width: of the picture.
        preprocessing: with its window.
        classes: output channels.
        threshold: for one class.
    """

    name: str
    why: str
    height: int
    width: int
    preprocessing: Preprocessing
    classes: int = 1
    threshold: float = 0.5


def stand_in(fitted: NDArray[np.uint8], classes: int) -> NDArray[np.float32]:
    """What stands in for the network: classes x height x width, exact in float32.

    Output k of pixel (y, x) is ((v (k + 1)) mod 256) / 256 * ((31 y + 17 x + 5 k) mod 64 + 1) / 64, v the first
    channel: it depends on the picture and on the place in the window, so that wrong positions and weights both show.
    """
    height, width = fitted.shape[:2]
    rows, columns = np.mgrid[:height, :width]
    first = fitted[..., 0].astype(np.int64)
    planes = [(first * (k + 1) % 256) * ((31 * rows + 17 * columns + 5 * k) % 64 + 1) / 2**14 for k in range(classes)]
    return np.stack(planes).astype(np.float32)


def window_picture(case: WindowCase) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The picture and its labels; no decision is close."""
    for attempt in range(1000):
        generator = np.random.default_rng(zlib.crc32(f"{case.name}/{attempt}".encode()))
        planes = smooth_field(generator, 3, case.height, case.width, 255).transpose(1, 2, 0)
        noise = generator.integers(-40, 41, planes.shape)
        picture = np.ascontiguousarray(np.clip(planes + noise, 0, 255).astype(np.uint8))
        found = slid(case, picture)
        if _margin(found, case.threshold) > DECISION_MARGIN:
            return picture, mask_from_probabilities(found, case.threshold)
    raise RuntimeError(f"no picture without close decisions was found for {case.name}")


def slid(case: WindowCase, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Probabilities classes x H x W."""
    given = case.preprocessing
    assert given.window is not None

    def predict(part: NDArray[np.uint8]) -> NDArray[np.float32]:
        return stand_in(fit_to_network(part, given), case.classes)

    return np.concatenate(
        [found for _, found in bands(predict, picture, (given.height, given.width), given.window)], axis=1
    )


def _margin(found: NDArray[np.float32], threshold: float) -> float:
    if found.shape[0] == 1:
        return float(np.abs(found[0].astype(np.float64) - threshold).min())
    ordered = np.sort(found.astype(np.float64), axis=0)
    return float((ordered[-1] - ordered[-2]).min())


def _square(overlap: float = 0.5, sigma: float = 0.125, channels: int = 3) -> Preprocessing:
    plain = (0.0,) * channels, (1.0,) * channels
    return Preprocessing(16, 16, channels, mean=plain[0], standard_deviation=plain[1], window=Window(overlap, sigma))


_FLAT = Preprocessing(14, 20, window=Window())

WINDOW_CASES: tuple[WindowCase, ...] = (
    WindowCase("window-same", "the picture is one window", 16, 16, _square(), threshold=0.2),
    WindowCase("window-smaller", "smaller in both axes: it lies amid black", 9, 11, _square(), threshold=0.2),
    WindowCase("window-odd-padding", "one pixel short: the black one is behind it", 15, 15, _square(), threshold=0.2),
    WindowCase("window-narrow", "smaller in one axis only", 40, 7, _square(), threshold=0.2),
    WindowCase("window-low", "smaller in the other", 5, 37, _square(), threshold=0.2),
    WindowCase("window-one-more", "one pixel larger: the last window is moved back", 17, 17, _square(), threshold=0.2),
    WindowCase("window-whole", "a whole number of steps", 32, 40, _square(), threshold=0.25),
    WindowCase("window-rest", "a rest in both axes", 45, 51, _square(), threshold=0.25),
    WindowCase("window-tall-strip", "a long strip", 130, 18, _square(), threshold=0.2),
    WindowCase("window-wide-strip", "a long strip the other way", 18, 130, _square(), threshold=0.2),
    WindowCase("window-one-pixel", "one pixel in all", 1, 1, _square(), threshold=0.1),
    WindowCase("window-classes", "several classes: the largest sum wins", 37, 29, _square(), 3),
    WindowCase("window-rectangle", "a window that is no square", 33, 47, _FLAT, threshold=0.2),
    WindowCase("window-grey", "grey: each window is made grey on its own", 27, 35, _square(channels=1), threshold=0.2),
    WindowCase("window-no-overlap", "windows side by side", 35, 49, _square(0.0), threshold=0.2),
    WindowCase("window-quarter", "three quarters overlap, a wide Gaussian", 29, 33, _square(0.75, 0.5), threshold=0.2),
    WindowCase("window-odd-step", "a step that is rounded down", 41, 30, _square(0.3), threshold=0.2),
)
