"""Means and medians over images, with bootstrap confidence intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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

BOOTSTRAP_BY_PATIENT = {
    **BOOTSTRAP,
    "method": "percentile bootstrap over the patients, each with all images where the figure is defined",
    "independence": "patients are taken as independent; images of one need not be",
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


def summarise(values: NDArray[np.float64], patients: Sequence[str] | None = None) -> Summary:
    """Mean and median of one value per image; nan means undefined and is left out.

    Args:
        patients: of each image; the intervals are then over patients (`cluster_interval`).
    """
    known = ~np.isnan(values)
    defined = values[known]

    def interval(plain: Callable[..., Any], weighted: Weighted) -> Interval | None:
        if patients is None:
            return bootstrap_interval(defined, plain)
        return cluster_interval(defined, [name for name, use in zip(patients, known, strict=True) if use], weighted)

    undefined = len(values) - len(defined)
    if len(defined) == 0:
        return Summary(None, None, None, None, 0, undefined)
    return Summary(
        mean=float(defined.mean()),
        mean_interval=interval(np.mean, weighted_mean),
        median=float(np.median(defined)),
        median_interval=interval(np.median, weighted_median),
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


Weighted = Callable[[NDArray[np.float64], NDArray[np.int64]], NDArray[np.float64]]
"""A statistic of values N, ascending, of which row r of weights R x N says how often each was drawn: R values."""


def cluster_interval(
    values: NDArray[np.float64],
    clusters: Sequence[str],
    statistic: Weighted,
    *,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    seed: int = SEED,
) -> Interval | None:
    """Percentile interval of a statistic where values come in clusters that are alike within (Davison and Hinkley 1997,
    section 3.8): whole clusters are drawn, with all of their values. None with fewer than two clusters.

    Args:
        values: finite.
        clusters: the cluster of each value.
        statistic: `weighted_mean`, `weighted_median` or another.
        seed: equal seeds and equal numbers of clusters draw equal clusters.
    """
    numbers = {name: number for number, name in enumerate(dict.fromkeys(clusters))}
    count = len(numbers)
    if count < 2:
        return None
    order = np.argsort(values, kind="stable")
    ascending, owners = values[order], np.array([numbers[name] for name in clusters])[order]
    generator = np.random.default_rng(seed)
    block = max(1, BLOCK // (len(values) + count))
    drawn: list[NDArray[np.float64]] = []
    for start in range(0, resamples, block):
        rows = min(block, resamples - start)
        draws = generator.integers(0, count, (rows, count)) + count * np.arange(rows)[:, None]
        times = np.bincount(draws.ravel(), minlength=rows * count).reshape(rows, count)
        drawn.append(statistic(ascending, times[:, owners]))
    tail = 50.0 * (1.0 - confidence)
    low, high = np.percentile(np.concatenate(drawn), [tail, 100.0 - tail])
    return float(low), float(high)


def weighted_mean(values: NDArray[np.float64], weights: NDArray[np.int64]) -> NDArray[np.float64]:
    """np.mean of every row's draw."""
    return (weights @ values) / weights.sum(axis=1)


def weighted_median(values: NDArray[np.float64], weights: NDArray[np.int64]) -> NDArray[np.float64]:
    """np.median of every row's draw: of an even number, the mean of the two in the middle."""
    reached = np.cumsum(weights, axis=1)
    total = reached[:, -1:]
    below, above = (np.argmax(reached > middle, axis=1) for middle in ((total - 1) // 2, total // 2))
    return (values[below] + values[above]) / 2
