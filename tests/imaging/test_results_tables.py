"""Figures as a table and as JSON: read by plain readers, a unit in each header, nothing that a spreadsheet runs."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from pages import ROOT, text_of
from phantoms import GRIDS, HEART, NETWORK, VOLUME_ML, Phantom, ellipsoid
from s2m_edge.imaging.classes import SegmentClass
from s2m_edge.imaging.grid import Grid
from s2m_edge.imaging.results.algorithm import Algorithm
from s2m_edge.imaging.results.subject import Subject
from s2m_edge.imaging.results.tables import (
    COLUMNS,
    csv_bytes,
    is_json_of,
    is_table_of,
    json_bytes,
    results_schema,
)
from s2m_edge.notice import NOTICE
from s2m_edge.texts import harmless_cell


def subject_of(grid: Grid = GRIDS["LPS"], classes: Any = HEART, **changes: Any) -> Subject:
    labels = (
        ellipsoid(grid) if grid.positions is not None else np.ones((grid.slices, grid.rows, grid.columns), np.uint8)
    )
    algorithm = changes.pop("algorithm", NETWORK)
    return Subject(Phantom(grid, **changes), labels, tuple(classes), algorithm)


def table(subject: Subject) -> bytes:
    return csv_bytes(subject)


def values(subject: Subject) -> bytes:
    return json_bytes(subject)


def rows_of(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8"), newline=""), strict=True))


def test_the_table_is_as_rfc_4180_has_it():
    content = table(subject_of())
    lines = content.split(b"\r\n")
    assert lines[0].decode() == ",".join(COLUMNS)
    assert lines[-1] == b""
    assert b"\n" not in content.replace(b"\r\n", b"")
    assert content.count(b"study,kind") == 1


def test_there_is_a_row_of_the_study_and_one_of_each_slice_for_every_class():
    rows = rows_of(table(subject_of()))
    assert len(rows) == 2 * (1 + 24)
    whole = [row for row in rows if row["scope"] == "study"]
    assert [row["class"] for row in whole] == ["left ventricle", "myocardium"]
    assert float(whole[0]["volume_ml"]) == pytest.approx(VOLUME_ML, rel=0.01)
    slices = [row for row in rows if row["scope"] == "slice" and row["label"] == "1"]
    assert [row["slice"] for row in slices] == [str(index) for index in range(24)]
    volume = sum(float(row["area_mm2"]) * float(row["slice_extent_mm"]) for row in slices) / 1000
    assert volume == pytest.approx(float(whole[0]["volume_ml"]))
    assert sum(int(row["area_pixels"]) for row in slices) == int(whole[0]["area_pixels"])


def test_a_diameter_has_its_slice_and_its_ends():
    row = rows_of(table(subject_of()))[0]
    ends = np.array(
        [[float(row[f"diameter_{end}_{axis}_pixels"]) for axis in ("row", "column")] for end in ("from", "to")]
    )
    length = np.linalg.norm((ends[1] - ends[0]) * [1.5, 1.0])
    assert length == pytest.approx(float(row["diameter_mm"]))
    assert row["diameter_slice"] == "11"


@pytest.mark.parametrize(
    "name", [name for name in COLUMNS if any(unit in name for unit in ("area", "volume", "diameter", "extent"))]
)
def test_every_figure_names_its_unit(name: str):
    assert name.endswith(("_pixels", "_mm", "_mm2", "_ml", "_slice"))


def test_the_page_explains_every_column():
    page = text_of(ROOT / "docs" / "results.md")
    cells = [line.split(" | ")[0] for line in page.splitlines() if line.startswith("| `")]
    explained = set("".join(cells).replace("`", " ").replace(",", " ").replace("|", " ").split())
    assert set(COLUMNS) <= explained


def test_what_is_not_known_is_an_empty_cell_and_null():
    subject = subject_of(Grid(2, 4, 5), spacing_from="")
    row, *slices = rows_of(table(subject))
    assert [row[name] for name in ("volume_ml", "diameter_mm", "diameter_slice", "spacing_from")] == [""] * 4
    assert {row["area_mm2"] for row in slices} == {row["slice_extent_mm"] for row in slices} == {""}
    assert slices[0]["area_pixels"] == "20"
    found = json.loads(values(subject))
    assert found["classes"][0]["volume_ml"] is None
    assert found["classes"][0]["diameter"] is None
    assert found["study"]["spacing_mm"] is None
    jsonschema.validate(found, results_schema())


def test_every_row_says_what_made_it_and_that_it_is_for_research_alone():
    for row in rows_of(table(subject_of())):
        assert (row["notice"], row["network"], row["weights_sha256"]) == (NOTICE, NETWORK.name, NETWORK.weights_sha256)
        assert (row["source_sha256"], row["precision"], row["target"]) == ("1d" * 32, "float32", "onnx")
        assert row["threshold"] == ""
    decided = subject_of(algorithm=Algorithm("one class", "1", threshold=0.25))
    assert {row["threshold"] for row in rows_of(table(decided))} == {"0.25"}
    assert json.loads(values(decided))["algorithm"]["threshold"] == 0.25


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@sum(a1)", "\t=1", " =1", "\uff1d1+1", '=HYPERLINK("http://x")'])
def test_a_name_is_no_formula(name: str):
    subject = subject_of(classes=[SegmentClass(name, (0, 0, 0)), HEART[1]], name=name, algorithm=Algorithm(name, name))
    for row in rows_of(table(subject)):
        for column in ("study", "network", "network_version", "class"):
            assert not row[column].lstrip().startswith(("=", "+", "-", "@", "\uff1d"))
    assert harmless_cell(name).lstrip("'\\t") == name.lstrip("\t")


def test_names_with_separators_lines_and_escapes_arrive_printable():
    name = 'a,"b"\r\nc\x1b[31m\udcff'
    subject = subject_of(classes=[SegmentClass(name, (0, 0, 0)), HEART[1]], name=name)
    shown = 'a,"b"\\r\\nc\\x1b[31m\\udcff'
    assert {row["study"] for row in rows_of(table(subject))} == {shown}
    assert rows_of(table(subject))[0]["class"] == shown
    found = json.loads(values(subject))
    assert (found["study"]["name"], found["classes"][0]["name"]) == (shown, shown)


def test_json_follows_its_schema_and_has_what_the_table_has():
    subject = subject_of(GRIDS["missing slice"], remarks=("a slice is missing between 8 and 9",))
    found = json.loads(values(subject))
    jsonschema.validate(found, results_schema())
    jsonschema.Draft202012Validator.check_schema(results_schema())
    assert found["notice"] == NOTICE
    assert found["study"]["remarks"] == ["a slice is missing between 8 and 9"]
    assert max(found["study"]["slice_extents_mm"]) == 3.0
    heart, row = found["classes"][0], rows_of(table(subject))[0]
    assert heart["volume_ml"] == float(row["volume_ml"])
    assert heart["diameter"]["mm"] == float(row["diameter_mm"])
    assert found["algorithm"] == vars(NETWORK)


def test_a_part_of_a_study_has_the_slice_numbers_of_the_whole():
    subject = subject_of(chosen=range(30, 54))
    row, *slices = rows_of(table(subject))[:25]
    found = json.loads(values(subject))["classes"][0]
    assert [int(one["slice"]) for one in slices] == [one["slice"] for one in found["slices"]] == list(range(30, 54))
    assert int(row["diameter_slice"]) == found["diameter"]["slice"] == 41


@pytest.mark.parametrize(("write", "is_ours"), [(table, is_table_of), (values, is_json_of)], ids=["csv", "json"])
def test_a_file_of_ours_is_told_by_its_study_and_slices(write: Any, is_ours: Any, tmp_path: Path):
    path = tmp_path / "results"
    path.write_bytes(write(subject_of()))
    assert is_ours(path, subject_of())
    assert is_ours(path, subject_of(algorithm=Algorithm("another", "2")))
    assert not is_ours(path, subject_of(identity="00" * 32))
    assert not is_ours(path, subject_of(plane="coronal"))
    assert not is_ours(path, subject_of(GRIDS["anisotropic"]))
    assert not is_ours(path, subject_of(chosen=range(30, 54)))
    path.write_bytes(write(subject_of()).replace(b"Research use only", b"For every patient"))
    assert not is_ours(path, subject_of())
    path.write_text("study,kind\r\nmine,mine\r\n")
    assert not is_ours(path, subject_of())
    path.write_bytes(b"\xff\xfe\x00")
    assert not is_ours(path, subject_of())
