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
        images_with_object: how many have any foreground in their label; of two empty masks Dice is 1 and HD95 0.
    """

    stage: str
    name: str
    title: str
    verdict: str
    device: str
    images: tuple[str, ...]
    dice: tuple[float, ...]
    hd95: tuple[float, ...]
    images_with_object: int


@dataclass(frozen=True)
class Difference:
    """One stage against another on the same images.

    Attributes:
        images: how many; images_with_object: how many of their labels have any foreground.
        mean_dice: difference of the means, negative where the later stage is worse.
        worst_dice: the most negative difference on one image; worst_image: that image.
        best_dice, best_image: the most positive one.
        images_with_hd95: where HD95 is defined in both.
        mean_hd95: difference of the means over these, in pixels; nan where there are none.
    """

    stage: str
    name: str
    reference: str
    images: int
    images_with_object: int
    mean_dice: float
    worst_dice: float
    worst_image: str
    best_dice: float
    best_image: str
    images_with_hd95: int
    mean_hd95: float


def difference(later: StageResult, earlier: StageResult) -> Difference:
    """`later` minus `earlier`.

    Raises:
        ValueError: they are not over the same images.
    """
    if later.images != earlier.images:
        raise ValueError(f"{later.name} and {earlier.name} were not measured on the same images")
    distances = [b - a for a, b in zip(earlier.hd95, later.hd95, strict=True) if not (math.isnan(a) or math.isnan(b))]
    # A Dice that is not a number is both the worst and the best: numpy's extremes stop at it.
    gaps = np.subtract(later.dice, earlier.dice) if later.images else np.array([math.nan])
    worst, best = int(np.argmin(gaps)), int(np.argmax(gaps))
    names = later.images or ("",)
    return Difference(
        later.stage,
        later.name,
        earlier.stage,
        len(later.images),
        later.images_with_object,
        float(gaps.mean()),
        float(gaps[worst]),
        names[worst],
        float(gaps[best]),
        names[best],
        len(distances),
        float(np.mean(distances)) if distances else math.nan,
    )
