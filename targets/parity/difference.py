"""Two stages over the same labelled images."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class StageResult:
    """One stage's figures, and against its reference.

    Attributes:
        stage: of `STAGES`; name: of the checkpoint or bundle; title, verdict, device: what ran.
        dice, hd95: per image; nan where HD95 is undefined.
    """

    stage: str
    name: str
    title: str
    verdict: str
    device: str
    images: tuple[str, ...]
    dice: tuple[float, ...]
    hd95: tuple[float, ...]


@dataclass(frozen=True)
class Difference:
    """One stage against another on the same images.

    Attributes:
        mean_dice: difference of the means, negative where the later stage is worse.
        worst_dice: the most negative difference on one image; worst_image: that image.
        mean_hd95: difference of the means over images where both are defined, in pixels.
    """

    stage: str
    name: str
    reference: str
    mean_dice: float
    worst_dice: float
    worst_image: str
    mean_hd95: float


def difference(later: StageResult, earlier: StageResult) -> Difference:
    """`later` minus `earlier`; both over the same images."""
    gaps = np.subtract(later.dice, earlier.dice)
    distances = [b - a for a, b in zip(earlier.hd95, later.hd95, strict=True) if not (math.isnan(a) or math.isnan(b))]
    worst = int(np.argmin(gaps))
    return Difference(
        later.stage,
        later.name,
        earlier.stage,
        float(gaps.mean()),
        float(gaps[worst]),
        later.images[worst],
        float(np.mean(distances)) if distances else 0.0,
    )
