"""Before and after the network: what the deployment contract promises, in numpy.

Every artifact starts from the same uint8 picture of the network's size; scale, mean and standard deviation follow,
inside the artifact or outside as its contract says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from s2m_edge.imaging.intensity import Intensity
from s2m_edge.imaging.resample import resample
from s2m_edge.imaging.window import Predict, Progress, Window, bands, middle_window

Keep = Callable[[NDArray[np.float32]], None]


@dataclass(frozen=True)
class Preprocessing:
    """The contract's preprocessing.

    Attributes:
        height, width: in pixels, what the network takes.
        channels: 3 (RGB) or 1 (grey, ITU-R BT.601 luma of an RGB picture).
        scale: factor from 0..255 to the range that mean and standard deviation refer to.
        mean, standard_deviation: per channel, after scaling.
        window: None: a picture is stretched to the network's size. Otherwise the network slides over it so.
        intensity: how values deeper than 8 bits become the levels that the network sees.
    """

    height: int
    width: int
    channels: int = 3
    scale: float = 1.0 / 255.0
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    standard_deviation: tuple[float, ...] = (1.0, 1.0, 1.0)
    window: Window | None = None
    intensity: Intensity = Intensity()  # noqa: RUF009 - frozen

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width: of the network's input, without the batch."""
        return self.channels, self.height, self.width

    @property
    def fitted_shape(self) -> tuple[int, int, int]:
        """Height, width and channels: of a fitted picture."""
        return self.height, self.width, self.channels

    @property
    def title(self) -> str:
        """The size for people, for instance "320 x 256"."""
        return f"{self.height} x {self.width}"


LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def fit_to_network(image: NDArray[np.uint8], preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """Stretch an RGB picture H x W x 3 to height x width x channels, uint8 (rounded half up)."""
    planes = image.transpose(2, 0, 1)
    if preprocessing.channels == 1:
        planes = np.tensordot(LUMA.astype(np.float64), planes, axes=1)[None]  # exact, in whatever order it is summed
    fitted = resample(planes, preprocessing.height, preprocessing.width)
    rounded = np.floor(np.clip(fitted, 0.0, 255.0).astype(np.float64) + 0.5).astype(np.uint8)
    return np.ascontiguousarray(rounded.transpose(1, 2, 0))


def network_input(image: NDArray[np.uint8], preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """One input of an RGB picture H x W x 3, height x width x channels, uint8: all of it stretched, or of a network
    that slides, the window in the middle."""
    if preprocessing.window is not None:
        image = middle_window(image, (preprocessing.height, preprocessing.width))
    return fit_to_network(image, preprocessing)


def segment(
    predict: Predict,
    image: NDArray[np.uint8],
    preprocessing: Preprocessing,
    threshold: float,
    progress: Progress = lambda done, total: None,
    keep: Keep = lambda strip: None,
) -> NDArray[np.uint8]:
    """Labels H x W, uint8, of an RGB picture H x W x 3, as the contract says: stretched there and back, or in windows.

    Args:
        predict: probabilities C x height x width, float32, of a fitted picture height x width x channels, uint8. It
            raises where its answer is no number: nothing here would notice.
        threshold: in [0, 1], of one class.
        progress: called with windows done and in all.
        keep: called with the probabilities that are decided, C x rows x W, float32, from the first row to the last:
            of the whole picture at once, or strip by strip of one in windows.
    """
    height, width = image.shape[:2]
    if preprocessing.window is None:
        whole = resample(predict(fit_to_network(image, preprocessing)), height, width)
        keep(whole)
        return mask_from_probabilities(whole, threshold)

    labels = np.empty((height, width), dtype=np.uint8)
    for top, found in sliding(predict, image, preprocessing, progress):
        keep(found)
        labels[top : top + found.shape[1]] = mask_from_probabilities(found, threshold)
    return labels


def sliding(
    predict: Predict, image: NDArray[np.uint8], preprocessing: Preprocessing, progress: Progress
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """`bands` of a network that slides, each window fitted (which makes it grey where the network is)."""
    assert preprocessing.window is not None

    def fitted(part: NDArray[np.uint8]) -> NDArray[np.float32]:
        return predict(fit_to_network(part, preprocessing))

    yield from bands(fitted, image, (preprocessing.height, preprocessing.width), preprocessing.window, progress)


def normalise(fitted: NDArray[np.uint8], preprocessing: Preprocessing) -> NDArray[np.float32]:
    """height x width x channels, uint8, to the network's input 1 x channels x height x width, float32."""
    channels = preprocessing.channels
    planes = fitted.transpose(2, 0, 1).astype(np.float32) * np.float32(preprocessing.scale)
    mean = np.asarray(preprocessing.mean[:channels], dtype=np.float32)[:, None, None]
    deviation = np.asarray(preprocessing.standard_deviation[:channels], dtype=np.float32)[:, None, None]
    return np.ascontiguousarray((planes - mean) / deviation)[None]


def mask_from_probabilities(probabilities: NDArray[np.float32], threshold: float) -> NDArray[np.uint8]:
    """Labels H x W from probabilities C x H x W: 1 where p >= threshold when C is 1, else the largest class."""
    if probabilities.shape[0] == 1:
        return (probabilities[0] >= threshold).astype(np.uint8)
    return probabilities.argmax(axis=0).astype(np.uint8)


def mask_in_original_size(
    probabilities: NDArray[np.float32], height: int, width: int, threshold: float
) -> NDArray[np.uint8]:
    """Labels height x width: probabilities C x H x W of the network are resampled first, then decided."""
    return mask_from_probabilities(resample(probabilities, height, width), threshold)
