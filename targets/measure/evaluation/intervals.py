"""Means and medians over images, with bootstrap confidence intervals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 5000
CONFIDENCE = 0.95
SEED = 0
BLOCK = 2_000_000

Interval = tuple[float, float]

BOOTSTRAP = {
    "method": "percentile bootstrap over the images where the figure is defined",
    "resamples": RESAMPLES,
    "confidence": CONFIDENCE,
    "seed": SEED,
    "independence": "images are taken as independent; where several show one patient, the true interval is wider",
}


@dataclass(frozen=True)
class Summary:
    """A figure over images.

    Attributes:
        mean, median: None where the figure is defined in no image.
        mean_interval, median_interval: 95 % bootstrap intervals; None with fewer than two images.
        images: where the figure is defined; undefined: where it is not.
    """

    mean: float | None
    mean_interval: Interval | None
    median: float | None
    median_interval: Interval | None
    images: int
    undefined: int


def summarise(values: NDArray[np.float64]) -> Summary:
    """Mean and median of one value per image; nan means undefined and is left out."""
    defined = values[~np.isnan(values)]
    undefined = len(values) - len(defined)
    if len(defined) == 0:
        return Summary(None, None, None, None, 0, undefined)
    return Summary(
        mean=float(defined.mean()),
        mean_interval=bootstrap_interval(defined, np.mean),
        median=float(np.median(defined)),
        median_interval=bootstrap_interval(defined, np.median),
        images=len(defined),
        undefined=undefined,
    )


def bootstrap_interval(
    values: NDArray[np.float64],
    statistic: Callable[..., Any],
    *,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    seed: int = SEED,
) -> Interval | None:
    """Percentile interval of a statistic (Efron and Tibshirani 1993, chapter 13); None with fewer than two values.

    Args:
        values: one per image, finite.
        statistic: np.mean, np.median or another that takes `axis`.
        seed: equal seeds and equal numbers of values draw equal images, so that figures stay comparable.
    """
    if len(values) < 2:
        return None
    generator = np.random.default_rng(seed)
    block = max(1, BLOCK // len(values))  # bounds the memory whatever the number of images
    drawn = [
        statistic(values[generator.integers(0, len(values), (min(block, resamples - start), len(values)))], axis=1)
        for start in range(0, resamples, block)
    ]
    tail = 50.0 * (1.0 - confidence)
    low, high = np.percentile(np.concatenate(drawn), [tail, 100.0 - tail])
    return float(low), float(high)
