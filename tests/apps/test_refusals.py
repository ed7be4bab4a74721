"""Damaged bundles: Python refuses each for the reason that all readers give, and the files are up to date."""

from __future__ import annotations

import filecmp
import json
import os
from pathlib import Path

import pytest

from s2m_edge.apps.vectors.generate import VECTORS
from s2m_edge.apps.vectors.refusals import REFUSALS, write_refusals
from s2m_edge.deploy.bundle import open_bundle
from s2m_edge.errors import ContractError

FOLDER = VECTORS / REFUSALS
CASES = json.loads((FOLDER / "index.json").read_text(encoding="utf-8"))["cases"]


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_a_damaged_bundle_is_refused_for_its_reason(case: dict[str, str]):
    if case["reason"] is None:
        assert open_bundle(FOLDER / case["name"]).contract.proved
        return
    with pytest.raises(ContractError) as caught:
        open_bundle(FOLDER / case["name"])
    assert caught.value.reason == case["reason"]
    assert str(caught.value).isprintable(), "one line, and nothing that moves a terminal"
    assert caught.value.remedy


def test_what_failed_its_gate_opens_for_whoever_measures_it_again():
    assert not open_bundle(FOLDER / "gate-failed", proved=False).contract.proved


def test_the_bundles_are_what_their_definition_writes(tmp_path: Path):
    write_refusals(tmp_path / REFUSALS)
    made = {path.relative_to(tmp_path / REFUSALS) for path in (tmp_path / REFUSALS).rglob("*") if not path.is_dir()}
    kept = {path.relative_to(FOLDER) for path in FOLDER.rglob("*") if not path.is_dir()}
    assert made == kept, "python -m s2m_edge.apps.vectors writes them anew"
    for name in sorted(made):
        one, other = tmp_path / REFUSALS / name, FOLDER / name
        if one.is_symlink():
            assert os.readlink(one) == os.readlink(other)
        elif one.suffix != ".json" or name.name == "contract.json":
            assert filecmp.cmp(one, other, shallow=False), name


def test_there_are_cases_for_every_reason():
    reasons = {case["reason"] for case in CASES}
    assert len(CASES) >= 60
    assert len(reasons) >= 20
