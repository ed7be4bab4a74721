"""How values deeper than 8 bits become the 8-bit levels that a network sees: a property of the network.

It is trained with, stored in checkpoint and contract, and used by every app. Pictures of 8 bits are never changed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from s2m_edge.errors import ConfigurationError, ImageError

Rule = Literal["percentiles", "window"]
Extent = Literal["slice", "volume"]
LARGEST = 1e9  # of a window's ends; beyond, float32 apps would see steps
_COUNTED = 2**20
"""Different values of a volume, at most, that are counted one by one."""


@dataclass(frozen=True)
class Intensity:
    """The rule.

    Attributes:
        rule: "percentiles": the file's own display window, where it has one; otherwise what lies between two
            percentiles of the values is spread over 0..255. "window": `low` to `high`, whatever the file asks for.
        low, high: percentiles in [0, 100], or values in the file's units (after slope and intercept: Hounsfield units
            of a CT).
        over: whose percentiles: the slice's, all its channels together, or the whole volume's.
    """

    rule: Rule = "percentiles"
    low: float = 0.0
    high: float = 100.0
    over: Extent = "slice"

    def __post_init__(self) -> None:
        """Raise ConfigurationError unless the numbers make sense."""
        fault = ""
        if self.rule not in get_args(Rule) or self.over not in get_args(Extent):
            fault = f"rule {self.rule!r} over {self.over!r}"
        elif not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            fault = f"low {self.low} and high {self.high}"
        elif self.rule == "percentiles" and not (self.low >= 0 and self.high <= 100):
            fault = f"percentiles {self.low} and {self.high}"
        elif max(abs(self.low), abs(self.high)) > LARGEST:
            fault = f"a window from {self.low} to {self.high}"
        if fault:
            raise ConfigurationError(
                f"the intensity has {fault}",
                "Give rule percentiles (0 <= low < high <= 100) or window (low < high, in the files' units), and over "
                "slice or volume.",
            )

    def to_dict(self) -> dict[str, Any]:
        """JSON values, as checkpoint and contract hold them."""
        return asdict(self)


def intensity_of(entry: Mapping[str, Any]) -> Intensity:
    """The `intensity` of an entry of a specification, a checkpoint or a contract; the default where it has none.

    Raises:
        ConfigurationError: it is none.
    """
    values = entry.get("intensity")
    if values is None:
        return Intensity()
    try:
        given = {"low": float(values["low"]), "high": float(values["high"])}
        return Intensity(values["rule"], over=values.get("over", "slice"), **given)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ConfigurationError(
            f"the intensity is {values!r}", "Write rule, low, high and, where it is not the slice, over."
        ) from None


def spread(values: NDArray[Any], intensity: Intensity, whole: NDArray[Any] | None = None) -> NDArray[np.uint8]:
    """Deep values as 8-bit levels of the same shape, by the rule (a file's own window is the reader's business).

    Args:
        values: a slice, any real dtype.
        whole: what the percentiles are of, where it is not the slice: its volume, or the slice without its padding.

    Raises:
        ImageError: a value is not finite.
    """
    if intensity.rule == "window":
        return levels(values, intensity.low, intensity.high)
    judged = values if whole is None else whole
    _require_finite(judged)
    return levels(values, *_percentiles(judged, intensity.low, intensity.high))


def levels(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """`low` to `high` as 0..255, clipped, rounded half up; all 0 where there is nothing between them.

    Raises:
        ImageError: a value is not finite.
    """
    _require_finite(values)
    if not high > low:
        return np.zeros(values.shape, np.uint8)
    scaled = (values.astype(np.float64) - low) * 255.0 / (high - low)  # in this order a half stays a half
    return np.floor(np.clip(scaled, 0.0, 255.0) + 0.5).astype(np.uint8)


def _percentiles(values: NDArray[Any], low: float, high: float) -> tuple[float, float]:
    """By nearest rank: a value that occurs, the same in every language."""
    if (low, high) == (0.0, 100.0):
        return float(values.min()), float(values.max())
    ranks = _ranks(values.size, low, high)
    ordered = np.partition(values.ravel(), ranks)
    return float(ordered[ranks[0]]), float(ordered[ranks[1]])


def _ranks(count: int, low: float, high: float) -> list[int]:
    return [math.floor(percent / 100 * (count - 1) + 0.5) for percent in (low, high)]


def volume_ends(slices: Callable[[], Iterable[NDArray[Any]]], intensity: Intensity) -> tuple[float, float]:
    """The two percentiles of all values of a volume, the same as of the volume in one piece, in the memory of a slice.

    Args:
        slices: reads the volume's slices anew, from the first to the last; called up to five times.

    Raises:
        ImageError: a value is not finite.
    """
    known, counts = np.empty(0), np.empty(0, np.int64)
    total, lowest, highest = 0, math.inf, -math.inf
    for values in slices():
        _require_finite(values)
        total += values.size
        lowest, highest = min(lowest, float(values.min())), max(highest, float(values.max()))
        if (intensity.low, intensity.high) != (0.0, 100.0) and len(known) <= _COUNTED:
            found, often = np.unique(values.astype(np.float64), return_counts=True)
            known, where = np.unique(np.concatenate([known, found]), return_inverse=True)
            counts = np.bincount(where, np.concatenate([counts, often])).astype(np.int64)
    if (intensity.low, intensity.high) == (0.0, 100.0):
        return lowest, highest
    ranks = _ranks(total, intensity.low, intensity.high)
    if len(known) <= _COUNTED:
        low, high = known[np.searchsorted(np.cumsum(counts), ranks, side="right")]
        return float(low), float(high)
    low, high = _ranked(slices, ranks)
    return low, high


def _ranked(slices: Callable[[], Iterable[NDArray[Any]]], ranks: list[int]) -> list[float]:
    """Values by their ranks among all, by counting 16 bits at a time: four passes."""
    prefixes, left = [0] * len(ranks), list(ranks)
    for shift in (48, 32, 16, 0):
        counts = np.zeros((len(ranks), 2**16), np.int64)
        for values in slices():
            keys = _ordered_bits(values)
            for row, prefix in enumerate(prefixes):
                inside = keys if shift == 48 else keys[keys >> np.uint64(shift + 16) == np.uint64(prefix)]
                digits = (inside >> np.uint64(shift)) & np.uint64(0xFFFF)
                counts[row] += np.bincount(digits.astype(np.int64), minlength=2**16)
        for row in range(len(ranks)):
            sums = np.cumsum(counts[row])
            digit = int(np.searchsorted(sums, left[row], side="right"))
            left[row] -= int(sums[digit - 1]) if digit else 0
            prefixes[row] = prefixes[row] << 16 | digit
    keys = np.array(prefixes, np.uint64)
    top = np.uint64(1 << 63)
    return [float(value) for value in np.where(keys & top, keys ^ top, ~keys).view(np.float64)]


def _ordered_bits(values: NDArray[Any]) -> NDArray[np.uint64]:
    """Integers that order as the values do."""
    bits = (values.ravel().astype(np.float64) + 0.0).view(np.uint64)  # -0 and 0 are one
    top = np.uint64(1 << 63)
    return np.where(bits & top, ~bits, bits | top)


def _require_finite(values: NDArray[Any]) -> None:
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ImageError("the image holds values that are not finite", "Clean it, or save it as 8 or 16 bit.")
