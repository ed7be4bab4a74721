"""Whether the values of a mask file are what the classes expect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from s2m_edge.train.data.sample import Labelling

Severity = Literal["problem", "note"]
UNDECIDED = (64, 191)
TOLERATED = 0.01  # of the pixels, between black and white: what JPEG leaves along outlines
MANY_CLASSES = 32


@dataclass(frozen=True)
class Verdict:
    """What is odd about the values of a mask."""

    severity: Severity
    text: str


def judge_values(values: NDArray[np.uint8], classes: int, labelling: Labelling | None) -> Verdict | None:
    """What is odd about stored values, or None.

    Args:
        values: of one mask file, H x W.
        classes: of the network, 1 or with the background.
        labelling: of the preset, if it has one.
    """
    found = set(np.unique(values).tolist())
    if labelling is not None and labelling.colours:  # a colour without a label was refused while it was read
        return _unexpected({value for value in found if value >= classes}) if classes > 1 else None
    if labelling is not None:
        known = {0, *(stored for stored, _ in labelling.values)}
        return _unexpected(found - known) if labelling.otherwise is None else None
    if classes > 1:
        if 255 in found and found <= {0, 255}:
            return Verdict("problem", f"values 0 and 255, where 0 to {classes - 1} are the classes: 1 was meant")
        return _unexpected({value for value in found if value >= classes})
    if found <= {0, 1} or found <= {0, 255}:
        return None
    if found <= {0, 1, 255}:
        return Verdict("problem", "both 1 and 255: which of them is foreground cannot be told")
    if max(found) < MANY_CLASSES:
        return Verdict("problem", "labels of several classes, where one is expected: give --classes")
    between = float(np.mean((values >= UNDECIDED[0]) & (values <= UNDECIDED[1])))
    if between <= TOLERATED:
        return Verdict("note", "greys beside 0 and 255, as JPEG leaves them; above 127 is taken as foreground")
    return Verdict("problem", "a grey picture rather than a mask of 0 and 255")


def _unexpected(values: set[int]) -> Verdict | None:
    if not values:
        return None
    named = ", ".join(str(value) for value in sorted(values)[:5]) + (", ..." if len(values) > 5 else "")
    return Verdict("problem", f"the values {named}, which stand for no class")
