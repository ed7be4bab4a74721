"""What a picture looks like in a few dozen numbers: layout, exposure, colour, and where its detail lies.

Small enough to be written again in any language without an FFT library, to 1e-3: apps/vectors/README.md has it in
words, with pictures and their numbers. Nothing in it jumps (no counts, no rounding): a rounding error stays one.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from s2m_edge.imaging.preprocess import LUMA
from s2m_edge.imaging.resample import resample

DESCRIPTOR = "thumbnail-cosine-1"
"""Names the rules below; another rule gets another name."""
SIDE = 64
CELLS = 4
BANDS = (1, 2, 4, 8, 16, 32, 64)
"""A band holds the cosines whose larger frequency is at least one of these and below the next."""
FAINTEST = 1e-6
"""Energy that counts as none: a quarter of a level of an 8-bit picture, squared."""
DARKEST_CONTRAST, DARKEST_COLOUR = 0.05, 0.1
"""Added before a logarithm or a division: what is darker says little."""
END = 0.1
"""How far from black and from white a pixel still counts, the less the farther."""


def descriptor_length(channels: int) -> int:
    """How many numbers `describe` gives of pictures with these channels, 1 or 3."""
    bands, planes = len(BANDS) - 1, 3 if channels == 3 else 1
    return planes * (CELLS**2 + bands) + bands + 3 + (4 if channels == 3 else 0)


def describe(fitted: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The descriptor of a fitted picture, height x width x channels (1 or 3), in this order:

    of each plane (grey: luma; colour: luma, red - green, (red + green) / 2 - blue) the means of 4 x 4 cells, then the
    decimal logarithm of the energy in six bands; the same six of luma's own logarithm, which say how strong contrasts
    are wherever it is dark; luma's standard deviation, its share of black and of white; of colour pictures mean and
    standard deviation of the relative saturation, then of the saturation.
    """
    thumbnail = resample(fitted.transpose(2, 0, 1), SIDE, SIDE).astype(np.float64) / 255.0
    if len(thumbnail) == 3:
        red, green, blue = thumbnail
        luma = np.tensordot(LUMA.astype(np.float64), thumbnail, axes=1)
        planes = [luma, red - green, (red + green) / 2 - blue]
        largest = thumbnail.max(axis=0)
        saturation = largest - thumbnail.min(axis=0)
        relative = saturation / (largest + DARKEST_COLOUR)
        colour = [relative.mean(), relative.std(), saturation.mean(), saturation.std()]
    else:
        luma = thumbnail[0]
        planes, colour = [luma], []
    black = np.clip((END - luma) / END, 0.0, 1.0).mean()
    white = np.clip((luma - (1.0 - END)) / END, 0.0, 1.0).mean()
    parts = [part for plane in planes for part in (_cell_means(plane), _band_energies(plane))]
    contrast = _band_energies(np.log10(luma + DARKEST_CONTRAST))
    return np.concatenate([*parts, contrast, [luma.std(), black, white, *colour]])


def _cell_means(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Row by row, 16 numbers."""
    edge = SIDE // CELLS
    return plane.reshape(CELLS, edge, CELLS, edge).mean(axis=(1, 3)).ravel()


def _band_energies(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """log10 of what each band adds to the plane's variance, coarse to fine."""
    cosines = _cosines()
    energy = (cosines @ plane @ cosines.T) ** 2 / SIDE**2
    frequency = np.maximum(np.arange(SIDE)[:, None], np.arange(SIDE))
    sums = [energy[(low <= frequency) & (frequency < high)].sum() for low, high in pairwise(BANDS)]
    return np.log10(np.array(sums) + FAINTEST)


@cache
def _cosines() -> NDArray[np.float64]:
    """The orthonormal cosine transform, frequency x position."""
    frequency, position = np.arange(SIDE)[:, None], np.arange(SIDE)
    matrix = np.sqrt(2.0 / SIDE) * np.cos(np.pi * (position + 0.5) * frequency / SIDE)
    matrix[0] = np.sqrt(1.0 / SIDE)
    matrix.setflags(write=False)  # cached: nobody may change it
    return matrix
