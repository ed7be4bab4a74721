"""What was found: every block with its error, the first that leaves its tolerance, and the first operator."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from s2m_edge.errors import ParityError
from s2m_edge.notice import NOTICE

Judgement = Literal["keeps its tolerance", "leaves its tolerance", "not held by itself", "not looked at"]
KEEPS: Judgement = "keeps its tolerance"
LEAVES: Judgement = "leaves its tolerance"
NOT_HELD: Judgement = "not held by itself"
NOT_LOOKED_AT: Judgement = "not looked at"

ANSWER = "answer"
"""The name of the last row: the artifact's probabilities."""
LARGEST_HALF = 65504.0


@dataclass(frozen=True)
class BlockError:
    """One block's result against the reference's.

    Attributes:
        block: its path in the network; shape: of the result, with the batch.
        largest, mean: absolute errors; None where nothing was measured, infinite where a value is not finite.
        relative: the error that the gate limits, as a share of the range of the reference's values.
        tolerance: what that share may be.
        judgement: "not held by itself": the artifact computes it as part of what follows, which is right or was looked
            at by itself; "not looked at": no question depended on it.
        peak: the largest absolute value up to here since the block before, where the precision may overflow.
        saturated: the share of the result's values at the ends of its int8 range, zero left out; None: not rounded.
    """

    block: str
    shape: tuple[int, ...]
    largest: float | None
    mean: float | None
    relative: float | None
    tolerance: float
    judgement: Judgement
    peak: float | None = None
    saturated: float | None = None


@dataclass(frozen=True)
class OperatorError:
    """The first operator whose result leaves its tolerance.

    Attributes:
        name, kind: in the artifact.
        relative: its error as a share of the range; tolerance: what that may be.
        against: what its result was compared with, for people.
    """

    name: str
    kind: str
    relative: float
    tolerance: float
    against: str


@dataclass(frozen=True)
class Location:
    """What one artifact computes, block by block, against the reference in PyTorch.

    Attributes:
        target, precision: of the artifact; device: what it ran on.
        method: how its results were read, for people.
        picture: the one that was looked at, of `pictures`: that with the largest error.
        blocks: in the order of computation, the answer last.
        operator: the first that leaves its tolerance; None where none does, or none is shown.
        remarks: what a reader has to know, a sentence each.
    """

    target: str
    precision: str
    device: str
    method: str
    picture: str
    pictures: int
    blocks: tuple[BlockError, ...]
    operator: OperatorError | None = None
    remarks: tuple[str, ...] = ()
    tools: dict[str, str] = field(default_factory=dict)

    @property
    def first(self) -> BlockError | None:
        """The first block that leaves its tolerance."""
        return next((entry for entry in self.blocks if entry.judgement == LEAVES), None)

    @property
    def sentence(self) -> str:
        """The outcome, for people."""
        first = self.first
        if first is None:
            return "No block leaves its tolerance."
        if first.block != ANSWER:
            found = f"{first.block} is the first block that leaves its tolerance"
        elif any(entry.judgement == KEEPS for entry in self.blocks):
            found = "No block before it, but the answer leaves its tolerance"
        else:
            found = "The answer leaves its tolerance, and no block could be looked at"
        if first.relative is not None and math.isfinite(first.relative):
            found += f": {first.relative:.2g} of its range, allowed {first.tolerance:g}"
        else:
            found += ": values that are not finite"
        if self.operator is None:
            return f"{found}."
        return f"{found}. The first operator that does: {self.operator.kind} {self.operator.name}."

    def to_dict(self) -> dict[str, Any]:
        """JSON values; a figure that is not finite is null, and its block leaves its tolerance."""
        first = self.first
        return {
            "target": self.target,
            "precision": self.precision,
            "device": self.device,
            "method": self.method,
            "picture": self.picture,
            "pictures": self.pictures,
            "first_block": None if first is None else first.block,
            "first_operator": None if self.operator is None else _finite(asdict(self.operator)),
            "sentence": self.sentence,
            "blocks": [_finite(asdict(entry)) for entry in self.blocks],
            "remarks": list(self.remarks),
            "tools": self.tools,
            "notice": NOTICE,
        }

    def require_kept(self) -> None:
        """Raise ParityError where something leaves its tolerance."""
        if self.first is not None:
            raise ParityError(
                f"{self.target} {self.precision}: {self.sentence.removesuffix('.')}", "Do not deploy this artifact."
            )


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in values.items()
    }
