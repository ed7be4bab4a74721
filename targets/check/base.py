"""What the base branch's check found, read from its `check.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from s2m_edge.errors import S2MEdgeError, in_one_line
from s2m_edge.targets.measure.changes.side import Side, accuracy_side, parity_side, size_figure
from s2m_edge.targets.measure.parity.report import ParityReport
from s2m_edge.text_files import read_text
from s2m_edge.texts import printable

REPORT_FILE = "check.json"


@dataclass(frozen=True)
class Base:
    """The base's reports.

    Attributes:
        sides: by artifact.
        accuracy: on labelled images; None where it was not measured.
        remark: why there is nothing; empty where there is.
    """

    sides: Mapping[str, Side] = field(default_factory=dict)
    accuracy: Side | None = None
    remark: str = ""


def read_base(path: Path | None) -> Base:
    """The report of an earlier check: its folder, or its `check.json`. Whether anything passed is decided again from
    its figures.

    Nothing here raises: that a branch has no report, or one that another version wrote, is told and no failure.
    """
    if path is None:
        return Base(remark="no report of the base was given")
    file = path / REPORT_FILE if path.is_dir() else path
    if not file.is_file():
        return Base(remark="the base has no report")
    try:
        values = json.loads(read_text(file))
        if values["check_report"] != 1:
            raise ValueError("of another version")
        sides: dict[str, Side] = {}
        for entry in values["artifacts"]:
            if entry["parity"] is not None:
                sides[str(entry["name"])] = _side(file, entry)
        accuracy = None if values["accuracy"] is None else accuracy_side(file, values["accuracy"])
    except (S2MEdgeError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        return Base(remark=f"the base's report cannot be read ({in_one_line(error)})")
    return Base(sides, accuracy)


def _side(path: Path, entry: dict) -> Side:
    made = parity_side(path, ParityReport.from_dict(entry["parity"]))
    facts = {printable(str(name)): printable(str(text)) for name, text in entry["facts"].items()}
    return replace(
        made, figures={**made.figures, **size_figure(int(entry["artifact_bytes"]))}, facts={**facts, **made.facts}
    )
