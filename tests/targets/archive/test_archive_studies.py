"""Items that are studies: folders of series, and volumes whose every slice is asked for."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

from command_line import Run
from dicom_files import write_series
from support import assert_one_line_error


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    """A manifest of a series and a volume, five slices each."""
    slices = np.random.default_rng(0).integers(0, 4000, (5, 48, 64)).astype(np.uint16)
    write_series(tmp_path / "series" / "one", slices)
    volume = np.random.default_rng(1).integers(0, 900, (64, 48, 5)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(volume, np.diag([0.5, 0.7, 3.0, 1.0])), tmp_path / "two.nii.gz")  # type: ignore[attr-defined]
    table = tmp_path / "studies.csv"
    table.write_text("path,name\nseries/one,\ntwo.nii.gz,second\n")
    return table


def test_studies_become_what_is_asked_for_once(run: Run, small_bundle: Path, studies: Path, tmp_path: Path):
    out = tmp_path / "out"
    arguments = ("predict", small_bundle, "--manifest", studies, "--out", out, "--format", "nifti,csv", "--json")
    code, printed, err = run(*arguments)
    assert code == 0, err
    assert json.loads(printed)["done"] == 2
    with (out / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["name"], row["slices"]) for row in rows] == [("series/one", "5"), ("second", "5")]
    for row, voxel in zip(rows, (0.5 * 0.7 * 3, 0.5 * 0.7 * 3), strict=True):
        files = [out / name for name in row["files"].split("; ")]
        assert all(path.is_file() for path in files)
        (mask,) = [path for path in files if path.name.endswith(".nii.gz")]
        labels = np.asarray(nibabel.load(mask).dataobj)  # type: ignore[attr-defined]
        assert int((labels > 0).sum()) == int(row["area_pixels"]) > 0
        assert float(row["volume_ml"]) == pytest.approx(int(row["area_pixels"]) * voxel / 1000, rel=1e-3)
    code, printed, err = run(*arguments)
    assert (code, json.loads(printed)["skipped"]) == (0, 2), err


def test_a_series_that_grew_is_done_again(run: Run, small_bundle: Path, studies: Path, tmp_path: Path):
    out = tmp_path / "out"
    arguments = ("predict", small_bundle, "--manifest", studies, "--out", out, "--slices", "1:3", "--json")
    assert run(*arguments)[0] == 0
    assert len(list((out / "series" / "one-slices").glob("*-mask.png"))) == 2
    changed = tmp_path / "series" / "one" / sorted(path.name for path in (tmp_path / "series" / "one").iterdir())[0]
    import pydicom

    header = pydicom.dcmread(changed)
    header.PixelData = bytes(len(header.PixelData))
    header.save_as(changed)
    code, printed, err = run(*arguments)
    assert code == 0, err
    values = json.loads(printed)
    assert (values["done"], values["skipped"]) == (1, 1)
    mine = next((out / "series" / "one-slices").glob("*-mask.png"))
    mine.write_bytes(b"mine")
    header.PatientComments = "again"
    header.save_as(changed)
    code, _, err = run(*arguments)
    assert_one_line_error(code, "", err, "1 of 2 pictures failed")
    assert mine.read_bytes() == b"mine"


def test_an_archive_within_a_study_is_refused(run: Run, small_bundle: Path, studies: Path, tmp_path: Path):
    result = run("predict", small_bundle, "--manifest", studies, "--out", tmp_path / "series" / "one" / "out")
    assert_one_line_error(*result, "lies in series/one, a study")
