"""A picture's file as one input of a network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from s2m_edge.imaging.preprocess import Preprocessing, network_input
from s2m_edge.imaging.read import read_image


def read_input(path: Path, preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """One input of a picture's file, height x width x channels, uint8: read by the network's rule, then fitted.

    Raises:
        ImageError: the file cannot be read.
    """
    return network_input(read_image(path, intensity=preprocessing.intensity), preprocessing)
