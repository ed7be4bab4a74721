"""Looking at an artifact that shows nothing but its answer: the network lowered again, cut at its blocks' borders.

Where the answer is right, nothing is cut. Else the first border that is wrong is sought by halves: a lowering for each
half, and a network of thirty blocks takes five.
"""

from __future__ import annotations

import math

from s2m_edge.errors import CapabilityError, LoweringError
from s2m_edge.targets.measure.locate.again import Again
from s2m_edge.targets.measure.locate.deviation import Deviation, deviation, tolerance
from s2m_edge.targets.measure.locate.expected import Reference
from s2m_edge.targets.measure.locate.visible import Seen

METHOD = "the same network lowered again, cut at block borders, because {why}"
THIS_FILE_ALONE = (
    "Lowered again, the same network keeps its tolerance: what is wrong is in this file alone, or in the tools that "
    "made it. Export it again."
)
STRANGE = Deviation(math.inf, math.inf, 1.0)
"""Where an artifact fails on the picture."""


def cut_and_look(reference: Reference, again: Again, precision: str, answer: Deviation) -> Seen:
    """Seek the first block that leaves its tolerance.

    Args:
        answer: the deviation of the artifact's own answer.

    Raises:
        LoweringError, CapabilityError: the network cannot be lowered.
    """
    limit, seen = tolerance(precision), Seen()
    if answer.relative(precision) <= limit:
        seen.remarks.append("The answer keeps its tolerance, so no block was cut off and looked at.")
        return seen
    whole = again.run(again.whole(), reference.fitted)
    if whole is not None and deviation(reference.answer, whole[None], 1.0).relative(precision) <= limit:
        seen.remarks.append(THIS_FILE_ALONE)
        return seen
    borders = list(reference.values)
    right, wrong = -1, len(borders)
    while wrong - right > 1:
        middle = (right + wrong) // 2
        border = borders[middle]
        try:
            value = again.at(border, reference.fitted)
        except (LoweringError, CapabilityError):  # what ends here is nothing that this target lowers
            borders.pop(middle)
            wrong -= 1
            continue
        seen.deviations[border] = STRANGE if value is None else deviation(reference.values[border], value)
        if seen.deviations[border].relative(precision) <= limit:
            right = middle
        else:
            wrong = middle
            seen.faulty.add(border)
    return seen
