"""Looking at an artifact whose results can be read: the blocks by likeness, what is unlike by lowering again.

1. Every result is compared with every block's (`match`). A block with a result within its tolerance is right.
2. Of the others, one on which a right block depends is right too: the artifact holds it only as a part of others.
3. For what is left the network is lowered again. Where that has the same operators, its results tell which result of
   the artifact is which block's, and a block that is right there and wrong here is the artifact's own fault. Where a
   block is unlike there too, it is lowered by itself, cut at its border: wrong again, and the lowering is at fault;
   right, and the artifact does not hold it by itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from s2m_edge.errors import CapabilityError, LoweringError, MissingBackendError
from s2m_edge.targets.look import Look
from s2m_edge.targets.measure.locate.again import Again
from s2m_edge.targets.measure.locate.blocks import Border
from s2m_edge.targets.measure.locate.deviation import Deviation, deviation, tolerance
from s2m_edge.targets.measure.locate.expected import Reference
from s2m_edge.targets.measure.locate.match import Scan, alike, compare_at, scan

OTHER_GRAPH = (
    "Lowered again the network has other operators than this file, which other versions of the tools made or something "
    "changed; behind the first block that leaves its tolerance, results were paired by likeness alone."
)
NOT_LOWERED = "The network could not be lowered again ({reason}), so results were paired by likeness alone."


@dataclass
class Seen:
    """What was found in an artifact.

    Attributes:
        deviations: of each block that was measured.
        faulty: blocks that leave their tolerance; part: right ones that the artifact holds only as a part of others.
        places: the artifact's result of each block, by its index.
        peaks: of the artifact's results, by index.
        remarks: for people.
        twin: the network lowered again, where it has the artifact's operators.
    """

    deviations: dict[Border, Deviation] = field(default_factory=dict)
    faulty: set[Border] = field(default_factory=set)
    part: set[Border] = field(default_factory=set)
    places: dict[Border, int] = field(default_factory=dict)
    peaks: dict[int, float] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    twin: Look | None = None


def look_at(look: Look, reference: Reference, again: Again, precision: str, *, peaks: bool) -> Seen:
    """Judge every block of an artifact.

    Args:
        peaks: whether the largest value of every result is wanted.
    """
    found = scan(look, reference, everything=peaks)
    right = found.kept(precision)
    seen = Seen(peaks=found.peaks)
    for border, match in right.items():
        seen.deviations[border], seen.places[border] = match.deviation, match.index
    unlike = [border for border in reference.values if border not in right]
    seen.part = {border for border in unlike if reference.dependents(border) & right.keys()}
    suspects = [border for border in unlike if border not in seen.part]
    if suspects:
        _judge(look, reference, again, precision, suspects, found, seen)
    return seen


def _judge(
    look: Look,
    reference: Reference,
    again: Again,
    precision: str,
    suspects: list[Border],
    found: Scan,
    seen: Seen,
) -> None:
    """Tell which of the suspects are faults; `seen` is completed in place."""
    seen.twin = _twin(look, again, seen)
    if seen.twin is None:
        seen.faulty.update(suspects)
        for border in suspects:
            if border in found.best:
                seen.deviations[border] = found.best[border].deviation
        return
    known = scan(seen.twin, reference, everything=False).kept(precision)
    wanted = {border: known[border].index for border in suspects if border in known}
    measured = compare_at(look, reference, wanted)
    seen.places |= wanted
    for border in suspects:
        if border in wanted:
            # What was not reached lies behind a value that is not finite.
            seen.deviations[border] = measured.get(border, Deviation(math.inf, math.inf, 1.0))
            if not seen.deviations[border].relative(precision) <= tolerance(precision):
                seen.faulty.add(border)
        elif not seen.faulty:
            _judge_alone(reference, again, precision, border, seen)


def _judge_alone(reference: Reference, again: Again, precision: str, border: Border, seen: Seen) -> None:
    """A block that no lowering of the whole network holds: lowered by itself."""
    try:
        value = again.at(border, reference.fitted)
    except (LoweringError, CapabilityError):  # what ends here is nothing that this target lowers
        seen.part.add(border)
        return
    found = Deviation(math.inf, math.inf, 1.0) if value is None else deviation(reference.values[border], value)
    seen.deviations[border] = found
    if found.relative(precision) <= tolerance(precision):
        seen.part.add(border)
    else:
        seen.faulty.add(border)
        seen.remarks.append(f"{border.name} was measured by lowering the network again, cut behind it.")


def _twin(look: Look, again: Again, seen: Seen) -> Look | None:
    """The network lowered again, where it has the artifact's operators."""
    contract = again.bundle.contract
    try:
        artifact = again.whole()
        twin = type(look)(artifact, look.interface, contract.preprocessing, contract.precision, look.threads)
    except (LoweringError, CapabilityError, MissingBackendError) as error:
        seen.remarks.append(NOT_LOWERED.format(reason=error.cause))
        return None
    if alike(look, twin):
        return twin
    seen.remarks.append(OTHER_GRAPH)
    return None
