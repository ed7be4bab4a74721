"""What a check found: one artifact after the other, and from it every single verdict that is told anywhere."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from s2m_edge.errors import ParityError
from s2m_edge.notice import NOTICE
from s2m_edge.targets.measure.changes.compare import Changes
from s2m_edge.targets.measure.parity.report import ParityReport
from s2m_edge.texts import printable
from s2m_edge.versions import tool_versions

State = Literal["passed", "failed", "skipped"]
NOT_EXECUTED = "converted, not executed"
EVALUATED = "artifact parity: evaluated, and not executed on its device"
RULES: Mapping[str, str] = {
    "export": "The network can be lowered to the target",
    "parity": "The artifact computes what the network computes, within the gate of its precision",
    "executed": "The artifact was executed on this machine",
    "recorded": "The artifact agrees with the network as it was recorded on another device",
    "base": "No figure is worse than on the base branch",
    "accuracy": "On labelled images no artifact loses more than its precision may",
}
"""What is judged, by the name that every report of a check gives it."""


@dataclass(frozen=True)
class Verdict:
    """One thing that was judged.

    Attributes:
        subject: the artifact, or the network.
        rule: of `RULES`.
        sentences: why it failed or was skipped; none of what passed.
        line: of the configuration that asked for it.
    """

    subject: str
    rule: str
    state: State
    sentences: tuple[str, ...] = ()
    line: int = 1


@dataclass(frozen=True)
class Artifact:
    """One artifact of a check.

    Attributes:
        name: of its bundle.
        line: of the configuration that asked for it.
        report: what was measured; None where it was not made.
        size: in bytes.
        facts: what its bundle says of itself, see `Side`.
        refused: why it could not be made; absent: why nobody tried on this machine.
        here: what its recorded inputs breached when they were run once more for the page.
        recorded: against the network as it was recorded on a device; None where it was not asked for.
        changes: against the base; None where the base has no report of it.
    """

    name: str
    target: str
    precision: str
    line: int
    report: ParityReport | None = None
    size: int = 0
    facts: Mapping[str, str] = field(default_factory=dict)
    refused: str = ""
    absent: str = ""
    here: tuple[str, ...] = ()
    recorded: ParityReport | None = None
    changes: Changes | None = None


@dataclass(frozen=True)
class CheckResult:
    """A whole check.

    Attributes:
        label: what tells this check from those of other machines; `machine` if nobody gave one.
        config: the configuration's path, as it was given.
        network: its name; classes: of its foreground; weights_sha256: of the float network.
        artifacts: in the order of the configuration.
        base_remark: why there is nothing to compare with; empty where there is.
        gone: artifacts that only the base has.
        accuracy: what `s2m-edge gate --out` would have written; None where it was not asked for.
        accuracy_changes: against the base's.
        record: the recorded reference's file and its device, empty where none was asked for.
    """

    label: str
    config: str
    network: str
    classes: tuple[str, ...]
    weights_sha256: str
    artifacts: tuple[Artifact, ...]
    base_remark: str = ""
    gone: tuple[str, ...] = ()
    accuracy: Mapping[str, Any] | None = None
    accuracy_changes: Changes | None = None
    record: tuple[str, str] = ("", "")

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """Everything that was judged, and what was not."""
        found = [verdict for artifact in self.artifacts for verdict in self._of(artifact)]
        if self.accuracy is not None:
            found.append(_judged(self.network, "accuracy", 1, map(str, self.accuracy["breaches"])))
            if self.accuracy_changes is not None:
                found.append(_judged(f"{self.network}, accuracy", "base", 1, self.accuracy_changes.worse))
        return tuple(found)

    @property
    def failures(self) -> tuple[Verdict, ...]:
        return tuple(verdict for verdict in self.verdicts if verdict.state == "failed")

    def _of(self, artifact: Artifact) -> list[Verdict]:
        name, line, report = artifact.name, artifact.line, artifact.report
        if artifact.absent:
            return [Verdict(name, "export", "skipped", (artifact.absent,), line)]
        if report is None:
            return [Verdict(name, "export", "failed", (artifact.refused,), line)]
        unproved = NOT_EXECUTED if report.verdict == NOT_EXECUTED else ""
        untried = "" if report.verdict == "executed" else unproved or EVALUATED
        found = [
            Verdict(name, "export", "passed", (), line),
            _judged(name, "parity", line, (*report.breaches, *artifact.here), unproved),
            _judged(name, "executed", line, (), untried),
        ]
        if artifact.recorded is not None:
            found.append(_judged(name, "recorded", line, artifact.recorded.breaches, unproved))
        if artifact.changes is not None:
            found.append(_judged(name, "base", line, artifact.changes.worse, unproved))
        else:
            remark = self.base_remark or "the base has no report of this artifact"
            found.append(Verdict(name, "base", "skipped", (remark,), line))
        return found

    def to_dict(self) -> dict[str, Any]:
        """`check.json`: what a later check compares itself with, and all that was judged."""
        return {
            "check_report": 1,
            "label": self.label,
            "config": self.config,
            "passed": not self.failures,
            "network": {"name": self.network, "classes": list(self.classes), "weights_sha256": self.weights_sha256},
            "machine": machine(),
            "tools": tool_versions(),
            "base": self.base_remark or "compared",
            "gone": list(self.gone),
            "record": {"file": self.record[0], "device": self.record[1]} if self.record[0] else None,
            "artifacts": [_artifact_values(artifact) for artifact in self.artifacts],
            "accuracy": self.accuracy,
            "accuracy_changes": None if self.accuracy_changes is None else changes_values(self.accuracy_changes),
            "verdicts": [
                {"subject": entry.subject, "rule": entry.rule, "state": entry.state, "why": list(entry.sentences)}
                for entry in self.verdicts
            ],
            "notice": NOTICE,
        }

    def require_passed(self, page: str) -> None:
        """Raise ParityError where anything failed; `page` is where all of it is told."""
        if self.failures:
            first = self.failures[0]
            count = sum(len(entry.sentences) for entry in self.failures)
            more = f" ({count - 1} more)" if count > 1 else ""
            raise ParityError(f"{first.subject}, {first.rule}: {first.sentences[0]}{more}", f"{page} has all of it.")


def machine() -> str:
    """This machine, in words that hold no name of it."""
    return f"{platform.system()} {platform.machine()}"


def changes_values(changes: Changes) -> dict[str, Any]:
    """Changes without the places of their sides, which are nobody's afterwards."""
    values = changes.to_dict()
    return {key: values[key] for key in ("tolerance", "worse", "figures", "facts")}


def _judged(subject: str, rule: str, line: int, broken: Iterable[str], untried: str = "") -> Verdict:
    """Failed where anything is broken, tried or not; else skipped or passed."""
    sentences = tuple(printable(sentence) for sentence in broken)
    if sentences:
        return Verdict(subject, rule, "failed", sentences, line)
    return Verdict(subject, rule, "skipped" if untried else "passed", (untried,) if untried else (), line)


def _artifact_values(artifact: Artifact) -> dict[str, Any]:
    return {
        "name": artifact.name,
        "target": artifact.target,
        "precision": artifact.precision,
        "refused": artifact.refused or None,
        "absent": artifact.absent or None,
        "artifact_bytes": artifact.size,
        "parity": None if artifact.report is None else artifact.report.to_dict(),
        "run_here": list(artifact.here),
        "recorded": None if artifact.recorded is None else artifact.recorded.to_dict(),
        "facts": dict(artifact.facts),
        "changes": None if artifact.changes is None else changes_values(artifact.changes),
    }
