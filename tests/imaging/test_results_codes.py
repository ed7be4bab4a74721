"""Codes of classes: DICOM's own for the bundled networks, a strict file for others, and never a guess."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydicom.sr._concepts_dict import concepts  # the standard's own tables, as pydicom has them

from pages import ROOT, blocks, text_of
from s2m_edge.bundled import BUNDLED_CHECKPOINTS
from s2m_edge.checkpoint import read_header
from s2m_edge.errors import ConfigurationError
from s2m_edge.imaging.classes import SegmentClass
from s2m_edge.imaging.results.codes import TABLE_PATH, Code, bundled_codes, codes_from_dict, load_codes, require_codes
from s2m_edge.train.recipe import read_recipe

CATEGORIES = 7150
PAGE = ROOT / "docs" / "results.md"
GOOD = {
    "category": {"value": "91723000", "scheme": "SCT", "meaning": "Anatomical Structure"},
    "type": {"value": "59820001", "scheme": "SCT", "meaning": "Blood Vessel"},
}


def in_the_standard(code: Code) -> list[int]:
    """The context groups of a code that the standard has with that meaning."""
    for entries in concepts[code.scheme].values():
        if entries.get(code.value, ("", []))[0] == code.meaning and entries[code.value][1]:
            return list(entries[code.value][1])
    raise AssertionError(f"{code} is not in a context group of the standard")


def test_every_bundled_code_is_of_the_standard_with_its_meaning():
    table = json.loads(TABLE_PATH.read_text())
    for domain in table:
        for code in codes_from_dict(table[domain], domain).values():
            assert CATEGORIES in in_the_standard(code.category)
            for further in (code.type, code.modifier, code.region, code.laterality):
                assert further is None or in_the_standard(further)


@pytest.mark.parametrize("name", BUNDLED_CHECKPOINTS)
def test_every_bundled_network_has_a_code_for_each_class(name: str):
    provenance = read_header(BUNDLED_CHECKPOINTS[name]).provenance
    classes = [SegmentClass(entry, (0, 0, 0)) for entry in provenance["class_names"]]
    require_codes(classes, bundled_codes(provenance["domain"]))


def test_the_recipe_of_the_network_that_is_not_bundled_has_codes_too():
    recipe = read_recipe("cardiac")
    require_codes([SegmentClass(name, (0, 0, 0)) for name in recipe.class_names], bundled_codes(recipe.domain))


def test_a_class_of_another_domain_has_no_code_and_the_remedy_is_a_file():
    """A vessel of the liver is no retina's."""
    assert bundled_codes("liver") == {}
    with pytest.raises(ConfigurationError, match=r"no code for the class 'vessel'.*--codes FILE"):
        require_codes([SegmentClass("vessel", (0, 0, 0))], bundled_codes("liver"))
    with pytest.raises(ConfigurationError, match="classes 'a', 'b'"):
        require_codes([SegmentClass("a", (0, 0, 0)), SegmentClass("b", (0, 0, 0))], {})


def test_a_file_gives_every_part_of_a_code(tmp_path: Path):
    entry = {
        **GOOD,
        "modifier": {"value": "24028007", "scheme": "SCT", "meaning": "Right"},
        "region": {"value": "5665001", "scheme": "SCT", "meaning": "Retina"},
        "laterality": {"value": "7771000", "scheme": "SCT", "meaning": "Left"},
        "colour": [1, 2, 255],
    }
    path = tmp_path / "codes.json"
    path.write_text(json.dumps({"Gefäß": entry, "other": GOOD}), encoding="utf-8")
    found = load_codes(path)
    assert found["Gefäß"].laterality == Code("7771000", "SCT", "Left")
    assert found["Gefäß"].colour == (1, 2, 255)
    assert found["other"].region is None


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "not readable JSON"),
        ("[]", "wrong at its top level"),
        ("{}", "wrong at its top level"),
        (json.dumps({"a": {"type": GOOD["type"]}}), "wrong at a .*category"),
        (json.dumps({"a": {**GOOD, "side": "left"}}), "wrong at a .*side"),
        (json.dumps({"a": {**GOOD, "type": {**GOOD["type"], "value": "has space"}}}), "wrong at a/type/value"),
        (json.dumps({"a": {**GOOD, "type": {**GOOD["type"], "value": 59820001}}}), "wrong at a/type/value"),
        (json.dumps({"a": {**GOOD, "type": {**GOOD["type"], "meaning": "x\\y"}}}), "wrong at a/type/meaning"),
        (json.dumps({"a": {**GOOD, "colour": [1, 2, 256]}}), "wrong at a/colour"),
        (json.dumps({"a": {**GOOD, "laterality": GOOD["type"]}}), "wrong at a .*region"),
        ('{"a": 1, "a": 2}', "twice"),
        ('{"a": NaN}', "NaN is no JSON"),
        ("[" * 100_000, "not readable JSON"),
        ('{"' + "x" * 2**20 + '": 1}', "longer than"),
    ],
)
def test_another_file_is_refused_in_one_line(tmp_path: Path, text: str, word: str):
    path = tmp_path / "codes.json"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=word) as found:
        load_codes(path)
    assert "\n" not in str(found.value)
    assert len(str(found.value)) < 600


def test_the_page_has_the_bundled_codes_and_an_example_that_loads(tmp_path: Path):
    told = {
        (domain, name): f"| {code.category.value} {code.category.meaning} | {code.type.value} {code.type.meaning} |"
        for domain, entries in json.loads(TABLE_PATH.read_text()).items()
        for name, code in codes_from_dict(entries, domain).items()
    }
    rows = [line for line in text_of(PAGE).splitlines() if line.startswith("| ")]
    for (domain, name), cells in told.items():
        assert any(row.startswith(f"| {domain} | ") and name in row and cells in row for row in rows), name
    [example] = blocks(PAGE, "json")
    path = tmp_path / "codes.json"
    path.write_text(example)
    [code] = load_codes(path).values()
    assert in_the_standard(code.category)
    assert in_the_standard(code.type)


def test_a_file_that_is_not_there_is_said(tmp_path: Path):
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_codes(tmp_path / "none.json")
