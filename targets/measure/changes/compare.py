"""Two sides against each other."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from s2m_edge.errors import ConfigurationError, ParityError
from s2m_edge.notice import NOTICE
from s2m_edge.targets.measure.changes.side import KINDS, Side

TOLERANCE = 0.1
Judgement = Literal["worse", "better", "within the tolerance", "not judged", "only in A", "only in B"]
VERDICTS = ("executed", "artifact parity", "converted, not executed")
"""From what proves most to what proves least."""


@dataclass(frozen=True)
class FigureChange:
    """A figure of both sides; None where one has it not."""

    name: str
    before: float | None
    after: float | None
    judgement: Judgement


STATISTICS = (".running_mean", ".running_var")
"""How the names of what BatchNorm notes in training end."""


@dataclass(frozen=True)
class BlockChange:
    """The weights of one block.

    Attributes:
        block: of the network.
        tensors: how many it has; changed: how many of them differ.
        relative: |B - A| / |A| over all learned weights, Euclidean; nan where they are not comparable.
        largest: absolute difference of any learned weight.
        statistics: relative, of the means and variances that BatchNorm noted in training; they are no weights, and a
            variance of a hundred would hide them. None where there are none.
        remark: why they are not comparable.
    """

    block: str
    tensors: int
    changed: int
    relative: float
    largest: float
    statistics: float | None = None
    remark: str = ""


@dataclass(frozen=True)
class Changes:
    """All that differs.

    Attributes:
        before, after: the sides A and B.
        tolerance: share of what a gate allows that may be lost from A to B.
        figures: of both, changed or not; facts: those that differ, as name, before and after; "-" where one has none.
        blocks: those whose weights differ.
        same_weights: whether there are weights, and none differs.
    """

    before: Side
    after: Side
    tolerance: float
    figures: tuple[FigureChange, ...]
    facts: tuple[tuple[str, str, str], ...]
    blocks: tuple[BlockChange, ...]
    same_weights: bool

    @property
    def worse(self) -> list[str]:
        """What is worse in B, a sentence each."""
        found = [
            f"{entry.name} went from {_number(entry.before)} to {_number(entry.after)}"
            for entry in self.figures
            if entry.judgement == "worse"
        ]
        found += [
            f"{entry.name} is gone{self._measured_by(entry.name)}"
            for entry in self.figures
            if entry.judgement == "only in A"
        ]
        found += [
            f"B breaches its gate: {breach}" for breach in self.after.breaches if breach not in self.before.breaches
        ]
        verdicts = [side.facts.get("verdict", "") for side in (self.before, self.after)]
        if all(verdict in VERDICTS for verdict in verdicts):
            before, after = (VERDICTS.index(verdict) for verdict in verdicts)
            found += [f"A was {verdicts[0]}, B is {verdicts[1]}"] if after > before else []
        return found

    def _measured_by(self, name: str) -> str:
        """What writes a figure into a checkpoint that was just trained and has it not."""
        found = re.fullmatch(r"(val|test) dice( window)?", name)
        if found is None or self.after.kind != "checkpoint":
            return ""
        window = " --window" if found[2] else ""
        path = shlex.quote(str(self.after.path))
        return f": s2m-edge evaluate {path} --data DATA --split {found[1]}{window} --record measures it"

    def to_dict(self) -> dict[str, Any]:
        return {
            "a": str(self.before.path),
            "b": str(self.after.path),
            "kind": self.before.kind,
            "tolerance": self.tolerance,
            "worse": self.worse,
            "figures": [asdict(entry) for entry in self.figures],
            "facts": [{"name": name, "before": before, "after": after} for name, before, after in self.facts],
            "blocks": [asdict(entry) for entry in self.blocks],
            "same_weights": self.same_weights if self.before.weights else None,
            "notice": NOTICE,
        }

    def require_no_worse(self) -> None:
        """Raise ParityError where B is worse."""
        if self.worse:
            more = f" ({len(self.worse) - 1} more)" if len(self.worse) > 1 else ""
            raise ParityError(
                f"{self.after.path} is worse than {self.before.path}: {self.worse[0]}{more}",
                "Find out why before it replaces the other; --tolerance allows more.",
            )


def compare_sides(before: Side, after: Side, tolerance: float = TOLERANCE) -> Changes:
    """What changed from A to B.

    Args:
        tolerance: share of what a gate allows that may be lost; of a time, of the time itself.

    Raises:
        ConfigurationError: they are not of one kind.
    """
    if before.kind != after.kind:
        raise ConfigurationError(
            f"{before.path} is {KINDS[before.kind]}, {after.path} is {KINDS[after.kind]}", "Compare two of one kind."
        )
    names = list(dict.fromkeys([*before.facts, *after.facts]))
    told = [(name, before.facts.get(name, "-"), after.facts.get(name, "-")) for name in names]
    blocks = _block_changes(before.weights, after.weights)
    return Changes(
        before,
        after,
        tolerance,
        tuple(_figure_changes(before, after, tolerance)),
        tuple(entry for entry in told if entry[1] != entry[2]),
        tuple(entry for entry in blocks if entry.changed),
        bool(before.weights) and not any(entry.changed for entry in blocks),
    )


def _figure_changes(before: Side, after: Side, tolerance: float) -> list[FigureChange]:
    changes: list[FigureChange] = []
    for name in dict.fromkeys([*before.figures, *after.figures]):
        old, new = before.figures.get(name), after.figures.get(name)
        if old is None or new is None:
            judgement: Judgement = "only in A" if new is None else "only in B"
        else:
            lost = old.value - new.value if old.higher_is_better else new.value - old.value
            judgement = _judged(lost, old.value, new.value, old.allowed, tolerance)
        changes.append(
            FigureChange(name, None if old is None else old.value, None if new is None else new.value, judgement)
        )
    return changes


def _judged(lost: float, before: float, after: float, allowed: float | None, tolerance: float) -> Judgement:
    if not math.isfinite(after) and math.isfinite(before):
        return "worse"  # limited or not: no number is no answer
    if allowed is None or not math.isfinite(lost):
        return "not judged"
    if lost > tolerance * allowed:
        return "worse"
    return "better" if -lost > tolerance * allowed else "within the tolerance"


def block_of_tensor(name: str) -> str:
    """The block that a checkpoint's tensor belongs to: encoder.0.receptive, decoder.2, stem."""
    parts = name.split(".")
    return ".".join(parts[: {"encoder": 3, "decoder": 2}.get(parts[0], 1)])


def _block_changes(before: Mapping[str, NDArray[Any]], after: Mapping[str, NDArray[Any]]) -> list[BlockChange]:
    blocks: dict[str, list[str]] = {}
    for name in dict.fromkeys([*before, *after]):
        blocks.setdefault(block_of_tensor(name), []).append(name)
    return [_block_change(block, names, before, after) for block, names in blocks.items()]


def _block_change(
    block: str, names: list[str], before: Mapping[str, NDArray[Any]], after: Mapping[str, NDArray[Any]]
) -> BlockChange:
    alike = [name for name in names if name in before and name in after and _comparable(before[name], after[name])]
    strange = len(names) - len(alike)
    gaps = {name: after[name].astype(np.float64) - before[name].astype(np.float64) for name in alike}
    noted = [name for name in alike if name.endswith(STATISTICS)]
    learned = [name for name in alike if name not in noted]
    return BlockChange(
        block,
        len(names),
        strange + sum(bool(gap.any()) for gap in gaps.values()),
        math.nan if strange else _relative(learned, gaps, before),
        max((float(np.abs(gaps[name]).max(initial=0.0)) for name in learned), default=0.0),
        _relative(noted, gaps, before) if noted else None,
        f"{strange} of another shape or type, or in one alone" if strange else "",
    )


def _relative(names: list[str], gaps: Mapping[str, NDArray[Any]], before: Mapping[str, NDArray[Any]]) -> float:
    distance = sum(float(np.square(gaps[name]).sum()) for name in names)
    length = sum(float(np.square(before[name].astype(np.float64)).sum()) for name in names)
    return math.sqrt(distance / length) if length > 0 else (math.inf if distance > 0 else 0.0)


def _comparable(before: NDArray[Any], after: NDArray[Any]) -> bool:
    return before.shape == after.shape and before.dtype == after.dtype


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"
