"""Before and after the network: what the deployment contract promises, in numpy.

Every artifact starts from the same uint8 picture of the network's size; scale, mean and standard deviation follow,
inside the artifact or outside as its contract says.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from s2m_edge.imaging.resample import resample


@dataclass(frozen=True)
class Preprocessing:
    """The contract's preprocessing.

    Attributes:
        size: height and width in pixels that the network takes; the picture is stretched to it.
        channels: 3 (RGB) or 1 (grey, ITU-R BT.601 luma of an RGB picture).
        scale: factor from 0..255 to the range that mean and standard deviation refer to.
        mean, standard_deviation: per channel, after scaling.
    """

    size: int
    channels: int = 3
    scale: float = 1.0 / 255.0
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    standard_deviation: tuple[float, ...] = (1.0, 1.0, 1.0)


LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def fit_to_network(image: NDArray[np.uint8], preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """Stretch an RGB picture H x W x 3 to size x size x channels, uint8 (rounded half up)."""
    planes = image.transpose(2, 0, 1).astype(np.float32)
    if preprocessing.channels == 1:
        planes = np.tensordot(LUMA, planes, axes=1)[None]
    fitted = resample(planes, preprocessing.size, preprocessing.size)
    rounded = np.floor(np.clip(fitted, 0.0, 255.0) + 0.5).astype(np.uint8)
    return np.ascontiguousarray(rounded.transpose(1, 2, 0))


def normalise(fitted: NDArray[np.uint8], preprocessing: Preprocessing) -> NDArray[np.float32]:
    """size x size x channels, uint8, to the network's input 1 x channels x size x size, float32."""
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
    """Labels height x width: probabilities C x size x size are resampled first, then decided."""
    return mask_from_probabilities(resample(probabilities, height, width), threshold)
