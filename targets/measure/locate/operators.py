"""The first operator of an artifact whose result leaves its tolerance."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from s2m_edge.imaging.preprocess import normalise
from s2m_edge.targets.look import Look
from s2m_edge.targets.measure.locate.blocks import Border
from s2m_edge.targets.measure.locate.deviation import Values, deviation, may_be, tolerance
from s2m_edge.targets.measure.locate.expected import Reference
from s2m_edge.targets.measure.locate.match import origins_of
from s2m_edge.targets.measure.locate.report import OperatorError
from s2m_edge.targets.measure.locate.visible import Seen

TWIN = "the same operator of the network lowered again"
PYTORCH = "what PyTorch's operators give in this block"


def first_operator(
    look: Look, reference: Reference, seen: Seen, first: Border | None, precision: str
) -> OperatorError | None:
    """The first operator on the way to a block's result, or to the answer (None), whose result leaves its tolerance.

    Against the same network lowered again, operator by operator, where that keeps its tolerance in this block. Else
    against whatever PyTorch's operators give in the block: the first result that is none of these and that no such
    result is computed from. A result whose operator PyTorch does not have is passed over so.
    """
    end = look.answer if first is None else seen.places.get(first)
    known = origins_of(look, (index for border, index in seen.places.items() if border not in seen.faulty))
    if seen.twin is not None and end is not None:
        found = _first_unlike(look, seen.twin, reference, sorted(origins_of(look, [end]) - known), precision)
        if found is not None:
            return found
    ways = set(range(len(look.results))) if end is None else origins_of(look, [end])
    candidates = [reference.answer] if first is None else reference.operator_results(first.path)
    # What a block takes, in all its forms, is none of its own results.
    candidates += [reference.values[border] for border in seen.places if border not in seen.faulty]
    candidates.append(normalise(reference.fitted, reference.preprocessing))
    candidates.append(reference.fitted.transpose(2, 0, 1)[None].astype(np.float32))
    return _first_foreign(look, reference, candidates, sorted(ways - known), precision)


def _first_unlike(
    look: Look, twin: Look, reference: Reference, places: Sequence[int], precision: str
) -> OperatorError | None:
    limit = tolerance(precision)
    own = look.read(reference.fitted, places)
    for index, expected in twin.read(reference.fitted, places):
        place, value = next(own, (-1, expected))
        share = deviation(expected, value).relative(precision) if place == index else math.inf
        if not share <= limit:
            return OperatorError(look.results[index].name, look.results[index].kind, share, limit, TWIN)
    return None


def _first_foreign(
    look: Look, reference: Reference, candidates: Sequence[Values], places: Sequence[int], precision: str
) -> OperatorError | None:
    limit = tolerance(precision)
    shares: dict[int, float] = dict.fromkeys(places, math.inf)
    for index, value in look.read(reference.fitted, places):
        fitting = [entry for entry in candidates if may_be(value.shape, entry.shape)]
        shares[index] = min((deviation(entry, value).relative(precision) for entry in fitting), default=math.inf)
    right = origins_of(look, (index for index, share in shares.items() if share <= limit))
    for index in places:
        if index not in right:
            return OperatorError(look.results[index].name, look.results[index].kind, shares[index], limit, PYTORCH)
    return None
