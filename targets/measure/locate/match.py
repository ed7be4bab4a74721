"""Which of an artifact's results is which block's: the one that is most like it.

Names do not survive everywhere, and a rewritten network has operators of its own; what the reference computes at a
block's end is there all the same. A result belongs to the block that it is most like, so that a block's input is never
taken for its output, and a block has the one that is most like it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from s2m_edge.targets.look import Look
from s2m_edge.targets.measure.locate.blocks import Border
from s2m_edge.targets.measure.locate.deviation import Deviation, Values, deviation, may_be, tolerance
from s2m_edge.targets.measure.locate.expected import Reference


@dataclass(frozen=True)
class Match:
    """A result of an artifact, by its index, and how far it lies from a block's."""

    index: int
    deviation: Deviation


@dataclass
class Scan:
    """All results of an artifact for one picture, looked at once.

    Attributes:
        best: for each block the result that is most like it; none where no result has its shape.
        peaks: the largest absolute value of each result that was read, by index; infinite where it is not finite.
    """

    best: dict[Border, Match] = field(default_factory=dict)
    peaks: dict[int, float] = field(default_factory=dict)

    def kept(self, precision: str) -> dict[Border, Match]:
        """The blocks whose result is within the tolerance."""
        limit = tolerance(precision)
        return {border: match for border, match in self.best.items() if match.deviation.relative(precision) <= limit}


def scan(look: Look, reference: Reference, *, everything: bool) -> Scan:
    """Read an artifact's results and compare them with every block's.

    Args:
        everything: whether results that can be no block's are read too, for their peaks.
    """
    fitting = {
        index: [border for border, value in reference.values.items() if may_be(result.shape, value.shape)]
        for index, result in enumerate(look.results)
    }
    found = Scan()
    wanted = [index for index in fitting if everything or fitting[index]]
    for index, value in look.read(reference.fitted, wanted):
        found.peaks[index] = _peak(value)
        likeness = [
            (deviation(reference.values[border], value, reference.spans[border]), border) for border in fitting[index]
        ]
        if likeness:
            nearest, border = min(likeness, key=lambda entry: entry[0].mean / entry[0].span)
            known = found.best.get(border)
            if known is None or nearest.mean < known.deviation.mean:
                found.best[border] = Match(index, nearest)
    return found


def compare_at(look: Look, reference: Reference, places: Mapping[Border, int]) -> dict[Border, Deviation]:
    """How far the results at known places lie from their blocks'; without those that are not reached."""
    borders: dict[int, list[Border]] = {}
    for border, index in places.items():
        borders.setdefault(index, []).append(border)
    return {
        border: deviation(reference.values[border], value, reference.spans[border])
        for index, value in look.read(reference.fitted, sorted(borders))
        for border in borders[index]
    }


def alike(one: Look, other: Look) -> bool:
    """Whether two artifacts have the same operators in the same order."""
    return [(entry.kind, entry.shape, entry.takes) for entry in one.results] == [
        (entry.kind, entry.shape, entry.takes) for entry in other.results
    ]


def origins_of(look: Look, ends: Iterable[int]) -> set[int]:
    """The results that others are computed from, with themselves."""
    found: set[int] = set()
    open_ends = list(ends)
    while open_ends:
        index = open_ends.pop()
        if index not in found:
            found.add(index)
            open_ends += look.results[index].takes
    return found


def _peak(value: Values) -> float:
    peak = float(np.abs(value).max()) if value.size else 0.0
    return peak if np.isfinite(peak) else np.inf
