"""The input guard's cases: fitted pictures with their descriptors and scores, and two guards to score them by."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from s2m_edge.deploy.guard import Guard
from s2m_edge.imaging.descriptor import BANDS, CELLS, descriptor_length

GUARD_FILES = {3: "guard-colour.safetensors", 1: "guard-grey.safetensors"}
"""By channels."""
USUAL = 5.75
PLANE = CELLS**2 + len(BANDS) - 1


@dataclass(frozen=True)
class GuardCase:
    """One picture that is described and scored.

    Attributes:
        name: begins its tensors' names.
        why: what it is there to catch.
        picture: the tensor of a case above, or of `flat_pictures`.
    """

    name: str
    why: str
    picture: str


GUARD_CASES: tuple[GuardCase, ...] = (
    GuardCase("guard-same", "of the thumbnail's own size: no resize", "same.fitted"),
    GuardCase("guard-large", "shrunk to the thumbnail, which averages", "smallest.fitted"),
    GuardCase("guard-mixed", "not a square; one axis shrinks, the other grows", "rectangle.fitted"),
    GuardCase("guard-grey", "one channel: one plane, and no saturation", "grey.fitted"),
    GuardCase("guard-wide", "one channel, an odd size, one axis enlarged", "flat-rectangle.fitted"),
    GuardCase("guard-flat", "a flat colour has no energy: the faintest counts", "guard-flat.fitted"),
    GuardCase("guard-black", "all black", "guard-black.fitted"),
    GuardCase("guard-white", "all white, one channel", "guard-white.fitted"),
)


def flat_pictures() -> dict[str, NDArray[np.uint8]]:
    """Fitted pictures of one colour each, by the tensor's name."""
    return {
        "guard-flat.fitted": np.full((8, 12, 3), (200, 120, 90), np.uint8),
        "guard-black.fitted": np.zeros((12, 8, 3), np.uint8),
        "guard-white.fitted": np.full((9, 9, 1), 255, np.uint8),
    }


def make_guard(channels: int) -> Guard:
    """A guard of round numbers, made up so that the cases end both ways; its directions are square waves."""
    length = descriptor_length(channels)
    width = 2 ** int(math.log2(length))
    places = np.arange(width)
    directions = np.zeros((4, length), np.float32)
    for index in range(4):
        directions[index, :width] = np.where(places >> index & 1, -1.0, 1.0) / math.sqrt(width)
    mean = np.zeros(length, np.float32)
    scale = np.full(length, 0.125, np.float32)
    planes = 3 if channels == 3 else 1
    for plane in range(planes + 1):  # the last is the contrast's bands alone
        start = PLANE * plane if plane < planes else PLANE * planes - CELLS**2
        if plane < planes:
            mean[start : start + CELLS**2] = 0.5 if plane == 0 else 0.0
        mean[start + CELLS**2 : start + PLANE] = (-1.75, -1.75, -2.25, -2.75, -3.25, -3.75)
        scale[start + CELLS**2 : start + PLANE] = 0.5
    mean[PLANE * planes + PLANE - CELLS**2] = 0.25  # luma's deviation
    return Guard(
        channels,
        mean,
        scale,
        directions,
        np.array((4.0, 3.0, 2.5, 2.0), np.float32),
        1.5,
        USUAL,
        {"dataset": "made up", "domain": "none", "training_pictures": "0", "validation_pictures": "0"},
    )
