"""predict with --slices or --format: whole studies, each reported, none half-written."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image
from pydicom.uid import generate_uid

from dicom_files import write_dicom, write_series
from s2m_edge import files
from s2m_edge.notice import NOTICE
from support import BRIGHT_STACK as STACK
from support import BrightRunner, assert_one_line_error, bright_bundle


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return bright_bundle(tmp_path / "bundle", monkeypatch)


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_every_slice_of_a_series_becomes_a_mask_and_one_sheet_shows_them(run, bundle: Path, tmp_path: Path):
    write_series(tmp_path / "in", STACK, list("edcba"), SeriesDescription="liver")
    code, out, err = run("predict", bundle, tmp_path / "in", "--slices", "all", "--out", tmp_path / "out", "--json")
    assert code == 0, err
    values = json.loads(out)
    (study,) = values["studies"]
    (folder,) = map(Path, study["files"])
    assert tree(folder) == [*(f"000{k}-mask.png" for k in range(5)), "sheet.png"]
    areas = [int((np.asarray(Image.open(folder / f"000{k}-mask.png")) > 0).sum()) for k in range(5)]
    assert sum(areas) == next(iter(study["area_pixels"].values()))
    assert areas == sorted(areas)
    assert areas[0] > 0
    assert next(iter(study["volume_ml"].values())) == pytest.approx(sum(areas) * 0.5 * 0.7 * 3 / 1000)
    assert (study["slices"], study["first_slice"], study["remarks"]) == (5, 0, [])
    assert values["notice"] == NOTICE
    assert Image.open(folder / "sheet.png").size[0] > 256 * 4


def test_without_slices_and_format_each_file_is_a_picture_as_before(run, bundle: Path, tmp_path: Path):
    write_series(tmp_path / "in", STACK)
    code, out, _ = run("predict", bundle, tmp_path / "in", "--out", tmp_path / "out", "--json")
    assert code == 0
    assert [Path(entry["image"]).name for entry in json.loads(out)["images"]] == [f"IM000{k}" for k in range(5)]
    nibabel.save(nibabel.Nifti1Image(STACK.T.copy(), np.eye(4)), tmp_path / "x.nii")
    assert run("predict", bundle, tmp_path / "x.nii", "--out", tmp_path / "one")[0] == 0
    assert tree(tmp_path / "one") == ["x-mask.png", "x-overlay.png"]


def test_chosen_slices_keep_their_numbers_and_end_with_the_study(run, bundle: Path, tmp_path: Path):
    nibabel.save(nibabel.Nifti1Image(STACK.T.copy(), np.diag([-1, -1, 2, 1])), tmp_path / "x.nii.gz")
    out = tmp_path / "out"
    assert run("predict", bundle, tmp_path / "x.nii.gz", "--slices", "3:90", "--out", out)[0] == 0
    assert tree(out / "x-slices") == ["0003-mask.png", "0004-mask.png", "sheet.png"]
    assert run("predict", bundle, tmp_path / "x.nii.gz", "--slice", 1, "--format", "png", "--out", out)[0] == 0
    assert tree(out / "x-slices") == ["0001-mask.png", "sheet.png"]
    words = ("predict", bundle, tmp_path / "x.nii.gz", "--out", out)
    assert_one_line_error(*run(*words, "--slices", "7:9"), "x has the slices 0..4")
    assert_one_line_error(*run(*words, "--slices", "7", "--slice", 2), "--slice and --slices")
    assert_one_line_error(*run(*words, "--slices", "9:7"), "--slices is '9:7'")
    assert_one_line_error(*run(*words, "--codes", "codes.json"), "--format dicom-seg")


def test_what_cannot_be_read_is_a_line_each_and_the_others_go_on(run, bundle: Path, tmp_path: Path):
    folder = tmp_path / "in"
    uid = generate_uid()
    write_series(folder / "good", STACK, SeriesDescription="good")
    write_series(folder / "mixed", STACK, SeriesDescription="mixed", SeriesInstanceUID=uid, StudyInstanceUID="1.2")
    scout = np.zeros((40, 40), np.uint16)
    write_dicom(folder / "mixed" / "scout", scout, SeriesInstanceUID=uid, StudyInstanceUID="1.2")
    (folder / "broken.nii.gz").write_bytes(b"nothing")
    cut = write_series(folder / "cut", STACK, SeriesDescription="cut")[2]
    cut.write_bytes(cut.read_bytes()[:-99])
    code, out, err = run("predict", bundle, folder, "--slices", "all", "--out", tmp_path / "out")
    assert code == 2
    lines = [line for line in err.splitlines() if line.startswith("error:")]
    assert len(lines) == 3
    assert any("2 sizes" in line for line in lines)
    assert any("broken.nii.gz" in line for line in lines)
    assert any("IM0002" in line for line in lines)
    assert "1 of 4 studies predicted, 3 left out" in out
    assert [name.split("-")[0] for name in tree(tmp_path / "out") if "/" not in name] == ["good"]
    assert NOTICE in out


def test_masks_that_somebody_corrected_stay_and_nothing_is_predicted(run, bundle: Path, tmp_path: Path):
    write_series(tmp_path / "in", STACK, SeriesDescription="a")
    words = ("predict", bundle, tmp_path / "in", "--slices", "all", "--out", tmp_path / "out")
    for _ in range(2):  # the same call again goes through
        assert run(*words)[0] == 0
    (folder,) = (tmp_path / "out").iterdir()
    Image.new("L", (30, 24), 255).save(folder / "0002-mask.png")
    before, BrightRunner.opened = (folder / "0002-mask.png").read_bytes(), 0
    assert_one_line_error(*run(*words), "0002-mask.png", "--overwrite")
    assert BrightRunner.opened == 0
    assert (folder / "0002-mask.png").read_bytes() == before
    assert run(*words, "--overwrite")[0] == 0
    (folder / "notes.txt").write_text("mine")
    assert_one_line_error(*run(*words, "--overwrite"), "notes.txt")


def test_a_disk_that_fills_within_a_volume_leaves_nothing_of_it(run, bundle: Path, tmp_path: Path, monkeypatch):
    uids = ["1.2.3.1", "1.2.3.2", "1.2.3.3"]
    for name, uid in zip("abc", uids, strict=True):
        write_series(tmp_path / "in" / name, STACK, SeriesDescription=name, SeriesInstanceUID=uid)
    honest, count = files.write_bytes, 0

    def full(path: Path, content: bytes) -> None:
        nonlocal count
        count += 1
        if count == 9:  # within the second study
            raise files.output_error(path, OSError(errno.ENOSPC, "No space left on device"))
        honest(path, content)

    monkeypatch.setattr("s2m_edge.targets.study.pictures.write_bytes", full)
    code, out, err = run("predict", bundle, tmp_path / "in", "--slices", "all", "--out", tmp_path / "out")
    assert_one_line_error(code, out, err, "the disk is full")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a-1231-slices"]
    assert "1 of 3 studies predicted, 2 left out" in out


def test_an_interrupted_call_leaves_nothing_of_the_study(run, bundle: Path, tmp_path: Path, monkeypatch):
    write_series(tmp_path / "in", STACK)

    def stop(self: Any, fitted: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(BrightRunner, "predict", stop)
    code, _, _ = run("predict", bundle, tmp_path / "in", "--slices", "all", "--out", tmp_path / "out")
    assert code == 130
    assert tree(tmp_path / "out") == []


def test_studies_of_one_name_are_told_apart_by_their_folders(run, bundle: Path, tmp_path: Path):
    for name in ("one", "two"):
        (tmp_path / "in" / name).mkdir(parents=True)
        nibabel.save(nibabel.Nifti1Image(STACK.T.copy(), np.eye(4)), tmp_path / "in" / name / "x.nii")
    assert run("predict", bundle, tmp_path / "in", "--slices", 0, "--out", tmp_path / "out")[0] == 0
    assert [name for name in tree(tmp_path / "out") if "/" not in name] == ["one-x-slices", "two-x-slices"]


def test_an_unusual_study_and_a_remark_are_warned_of(run, bundle: Path, tmp_path: Path, monkeypatch):
    from s2m_edge.deploy.bundle import Bundle
    from s2m_edge.deploy.guard import GuardVerdict

    class Strict:
        def judge(self, fitted: Any) -> GuardVerdict:
            return GuardVerdict(9.0 if fitted.mean() > 45 else 1.0, 3.0)

    monkeypatch.setattr(Bundle, "guard", Strict())
    write_series(
        tmp_path / "in", STACK, SeriesDescription="x", each_ImagePositionPatient=[[0, 0, z] for z in (0, 1, 2, 5, 6)]
    )
    code, out, err = run("predict", bundle, tmp_path / "in", "--slices", "all", "--out", tmp_path / "out")
    assert code == 0
    assert "between slices 2 and 3: slices are missing" in err
    assert "of 5 slices look unlike the pictures" in err
    assert "unusual slices)" in out


def test_results_of_an_earlier_call_are_no_studies(run, bundle: Path, tmp_path: Path):
    write_series(tmp_path / "in", STACK)
    words = ("predict", bundle, tmp_path / "in", "--slices", "all", "--out", tmp_path / "in" / "out", "--json")
    for _ in range(2):
        code, out, err = run(*words)
        assert code == 0, err
        assert len(json.loads(out)["studies"]) == 1


def test_a_bundle_that_is_not_proved_says_so_in_every_name(run, bundle: Path, tmp_path: Path):
    from s2m_edge.files import write_json
    from support import reseal

    contract = json.loads((bundle / "contract.json").read_text())
    contract["parity"]["passed"] = False
    write_json(bundle / "contract.json", contract)
    reseal(bundle)
    nibabel.save(nibabel.Nifti1Image(STACK.T.copy(), np.eye(4)), tmp_path / "x.nii")
    words = ("predict", bundle, tmp_path / "x.nii", "--slices", "all", "--out", tmp_path / "out")
    assert run(*words)[0] == 2
    assert run(*words, "--unproved")[0] == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["x-unproved-slices"]
