"""Figures of a study as a table for spreadsheets, and as JSON; both say that they are for research alone."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import s2m_edge
from s2m_edge import __version__
from s2m_edge.imaging.results.figures import ClassFigures
from s2m_edge.imaging.results.subject import Subject
from s2m_edge.notice import NOTICE
from s2m_edge.texts import encoded, harmless_cell, json_text, printable

RESULTS_VERSION = 1
SCHEMA_PATH = Path(s2m_edge.__file__).parent / "schemas" / f"results-{RESULTS_VERSION}.json"
DIGITS = 9
"""Significant ones of a figure: more than any spacing has, and as short as it can be read."""

COLUMNS = (
    "study",
    "kind",
    "plane",
    "class",
    "label",
    "scope",
    "slice",
    "area_pixels",
    "area_mm2",
    "slice_extent_mm",
    "volume_ml",
    "diameter_mm",
    "diameter_slice",
    "diameter_from_row_pixels",
    "diameter_from_column_pixels",
    "diameter_to_row_pixels",
    "diameter_to_column_pixels",
    "spacing_from",
    "network",
    "network_version",
    "weights_sha256",
    "precision",
    "target",
    "threshold",
    "source_sha256",
    "notice",
)
SLICE, STUDY = "slice", "study"
"""Scopes of a row."""


def csv_bytes(subject: Subject) -> bytes:
    """A table as RFC 4180 has it, UTF-8: for every class a row of the study, then one of each slice.

    A figure that is not known is an empty cell. A text that a spreadsheet would take for a formula gets an apostrophe.
    """
    text = io.StringIO(newline="")
    writer: csv.DictWriter[str] = csv.DictWriter(text, COLUMNS, lineterminator="\r\n")
    writer.writeheader()
    for row in _rows(subject):
        writer.writerow({name: cell(row.get(name)) for name in COLUMNS})
    return encoded(text.getvalue())


def json_bytes(subject: Subject) -> bytes:
    """What schemas/results-1.json describes, UTF-8."""
    return (json_text(results_values(subject)) + "\n").encode()


def results_values(subject: Subject) -> dict[str, Any]:
    """The values of the JSON file."""
    study, grid = subject.study, subject.study.grid
    return {
        "results_version": RESULTS_VERSION,
        "notice": NOTICE,
        "s2m_edge_version": __version__,
        "study": {
            "name": printable(study.name),
            "kind": str(study.kind),
            "sha256": subject.identity,
            "plane": study.plane,
            "slices": grid.slices,
            "rows": grid.rows,
            "columns": grid.columns,
            "spacing_mm": None if grid.spacing is None else [_rounded(side) for side in grid.spacing],
            "spacing_from": study.spacing_from,
            "slice_extents_mm": None if grid.extents is None else [_rounded(float(one)) for one in grid.extents],
            "remarks": [printable(remark) for remark in subject.remarks],
        },
        "algorithm": {
            name: printable(value) if isinstance(value, str) else value
            for name, value in vars(subject.algorithm).items()
        },
        "classes": [_class_values(entry, subject.slices) for entry in subject.figures],
    }


def _class_values(entry: ClassFigures, numbers: Sequence[int]) -> dict[str, Any]:
    line = entry.diameter
    areas: Sequence[float | None] = entry.area_mm2 or [None] * len(entry.area_pixels)
    return {
        "name": printable(entry.name),
        "label": entry.label,
        "pixels": entry.pixels,
        "volume_ml": _rounded(entry.volume_ml),
        "diameter": None
        if line is None
        else {"mm": _rounded(line.mm), "slice": numbers[line.slice], "from": list(line.first), "to": list(line.second)},
        "slices": [
            {"slice": number, "area_pixels": pixels, "area_mm2": _rounded(area)}
            for number, pixels, area in zip(numbers, entry.area_pixels, areas, strict=True)
        ],
    }


def is_table_of(path: Path, subject: Subject) -> bool:
    """Whether a file is a table of ours of the same slices of the same study, of whichever network."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != COLUMNS:
                return False
            rows = list(reader)
        found = {(row["source_sha256"], row["plane"], row["notice"]) for row in rows}
        slices = {row["slice"] for row in rows if row["scope"] == SLICE}
        ours = {(subject.identity, subject.study.plane, NOTICE)}, {str(number) for number in subject.slices}
        return (found, slices) == ours
    except Exception:  # whatever cannot be read is not ours
        return False


def is_json_of(path: Path, subject: Subject) -> bool:
    """The same of a JSON file."""
    import jsonschema

    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        jsonschema.validate(values, results_schema())
        study, slices = values["study"], tuple(row["slice"] for row in values["classes"][0]["slices"])
        ours = subject.identity, subject.study.plane, subject.slices, NOTICE
        return (study["sha256"], study["plane"], slices, values["notice"]) == ours
    except Exception:  # whatever cannot be read is not ours
        return False


@cache
def results_schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of the JSON file."""
    return json.loads(SCHEMA_PATH.read_text(encoding="utf-8"))


def _rows(subject: Subject) -> list[dict[str, Any]]:
    study, algorithm, extents, numbers = subject.study, subject.algorithm, subject.study.grid.extents, subject.slices
    same = {
        "study": study.name,
        "kind": study.kind,
        "plane": study.plane,
        "spacing_from": study.spacing_from,
        "network": algorithm.name,
        "network_version": algorithm.version,
        "weights_sha256": algorithm.weights_sha256,
        "precision": algorithm.precision,
        "target": algorithm.target,
        "threshold": algorithm.threshold,
        "source_sha256": subject.identity,
        "notice": NOTICE,
    }
    rows: list[dict[str, Any]] = []
    for entry in subject.figures:
        named = {**same, "class": entry.name, "label": entry.label}
        whole = {"scope": STUDY, "area_pixels": entry.pixels, "volume_ml": entry.volume_ml}
        if entry.diameter is not None:
            whole |= {"diameter_mm": entry.diameter.mm, "diameter_slice": numbers[entry.diameter.slice]}
            for end, point in (("from", entry.diameter.first), ("to", entry.diameter.second)):
                whole |= {f"diameter_{end}_row_pixels": point[0], f"diameter_{end}_column_pixels": point[1]}
        rows.append({**named, **whole})
        for index, pixels in enumerate(entry.area_pixels):
            rows.append(
                {
                    **named,
                    "scope": SLICE,
                    "slice": numbers[index],
                    "area_pixels": pixels,
                    "area_mm2": None if entry.area_mm2 is None else entry.area_mm2[index],
                    "slice_extent_mm": None if extents is None else float(extents[index]),
                }
            )
    return rows


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{DIGITS}g}")


def cell(value: Any) -> str:
    """A value as a cell of a table: nothing where it is not known, a figure in `DIGITS`, a text that no spreadsheet
    takes for a formula."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.{DIGITS}g}"
    return str(value) if isinstance(value, int) else harmless_cell(str(value))
