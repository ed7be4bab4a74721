"""predict --format: what a study's labels become, on its own slices and voxels."""

from __future__ import annotations

import csv
import errno
import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import CTImageStorage, generate_uid

from dicom_files import item, write_dicom, write_series
from s2m_edge.notice import NOTICE
from support import BRIGHT_STACK as STACK
from support import assert_one_line_error, bright_bundle, write_codes

pytest.importorskip("s2m_edge.imaging.results.write", reason="writes results with s2m_edge.imaging.results")
pytest.importorskip("highdicom", reason="writes DICOM-SEG: pip install s2m-edge[dicom]")

PATIENT = {
    "PatientBirthDate": "",
    "PatientSex": "",
    "StudyDate": "20200101",
    "StudyTime": "101010",
    "AccessionNumber": "",
    "StudyID": "1",
    "ReferringPhysicianName": "",
    "SOPClassUID": CTImageStorage,
    "Modality": "CT",
}


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return bright_bundle(tmp_path / "bundle", monkeypatch)


@pytest.fixture
def codes(bundle: Path, tmp_path: Path) -> Path:
    return write_codes(tmp_path / "codes.json", bundle)


def masks(folder: Path) -> np.ndarray:
    return np.stack([np.asarray(Image.open(path)) > 0 for path in sorted(folder.glob("*-mask.png"))])


def test_all_formats_of_a_series_show_one_mask_on_its_own_slices(run, bundle: Path, codes: Path, tmp_path: Path):
    write_series(tmp_path / "in", STACK, list("dbeac"), SeriesDescription="a", **PATIENT)
    words = ("--format", "csv,png,dicom-seg,nifti,json", "--codes", codes, "--out", tmp_path / "out", "--json")
    code, out, err = run("predict", bundle, tmp_path / "in", *words)
    assert code == 0, err
    (study,) = json.loads(out)["studies"]
    png, seg, nifti, table, figures = map(Path, study["files"])
    found = masks(png)
    assert 0 < found.sum() < found.size
    segmentation = pydicom.dcmread(seg)
    frames = segmentation.pixel_array
    by_place = sorted(
        (group.PlanePositionSequence[0].ImagePositionPatient[2], frame)
        for group, frame in zip(segmentation.PerFrameFunctionalGroupsSequence, range(len(frames)), strict=True)
    )
    assert np.array_equal(np.stack([frames[frame] for _, frame in by_place]) > 0, found)
    referred = {
        entry.ReferencedSOPInstanceUID for entry in segmentation.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    }
    assert referred == {pydicom.dcmread(path).SOPInstanceUID for path in (tmp_path / "in").iterdir()}
    volume: Any = nibabel.load(nifti)  # type: ignore[attr-defined]
    assert np.array_equal(np.asarray(volume.dataobj).T > 0, found)
    assert np.allclose(volume.affine @ [0, 0, 4, 1], [0, 0, 12, 1])
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    areas = [int(row["area_pixels"]) for row in rows if row["scope"] == "slice"]
    assert areas == found.sum(axis=(1, 2)).tolist()
    millilitres = next(iter(study["volume_ml"].values()))
    assert float(next(row["volume_ml"] for row in rows if row["scope"] == "study")) == pytest.approx(millilitres)
    assert json.loads(figures.read_text())["notice"] == NOTICE


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_a_nifti_mask_lies_on_its_volumes_voxels_in_every_plane(run, bundle: Path, tmp_path: Path, plane: str):
    body = np.zeros((26, 20, 14), np.int16)
    body[4:20, 5:15, 3:11] = 900
    image = nibabel.Nifti1Image(body, np.array([[0, 2.0, 0, 5], [0, 0, -3, 7], [4, 0, 0, -2], [0, 0, 0, 1]]))
    nibabel.save(image, tmp_path / "x.nii.gz")
    out = tmp_path / "out"
    assert run("predict", bundle, tmp_path / "x.nii.gz", "--format", "nifti", "--plane", plane, "--out", out)[0] == 0
    mask: Any = nibabel.load(out / "x-mask.nii.gz")  # type: ignore[attr-defined]
    labels = np.asarray(mask.dataobj) > 0
    assert image.affine is not None
    assert np.array_equal(mask.affine, image.affine)
    both = (labels & (body > 0)).sum()
    assert 2 * both / (labels.sum() + (body > 0).sum()) > 0.8, "the network's size blurs the edge"


def test_labels_of_frames_return_to_the_stored_order(run, bundle: Path, codes: Path, tmp_path: Path):
    order = [3, 0, 4, 1, 2]
    groups = [item(PlanePositionSequence=[item(ImagePositionPatient=[0, 0, 4.0 * place])]) for place in order]
    shared = item(
        PlaneOrientationSequence=[item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
        PixelMeasuresSequence=[item(PixelSpacing=[1, 1], SliceThickness=4)],
    )
    write_dicom(
        tmp_path / "ct",
        STACK[order],
        **{**PATIENT, "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2.1"},
        NumberOfFrames=5,
        PerFrameFunctionalGroupsSequence=groups,
        SharedFunctionalGroupsSequence=[shared],
        SeriesInstanceUID=generate_uid(),
        StudyInstanceUID=generate_uid(),
        FrameOfReferenceUID=generate_uid(),
    )
    words = ("--format", "dicom-seg,png", "--codes", codes, "--out", tmp_path / "out", "--json")
    code, out, err = run("predict", bundle, tmp_path / "ct", *words)
    assert code == 0, err
    png, seg = map(Path, json.loads(out)["studies"][0]["files"])
    found, segmentation = masks(png), pydicom.dcmread(seg)
    frames = np.atleast_3d(segmentation.pixel_array)
    for group, frame in zip(segmentation.PerFrameFunctionalGroupsSequence, frames, strict=True):
        place = float(group.PlanePositionSequence[0].ImagePositionPatient[2])
        assert np.array_equal(frame > 0, found[round(place / 4)])
        source = group.DerivationImageSequence[0].SourceImageSequence[0]
        assert order[int(source.ReferencedFrameNumber) - 1] == round(place / 4)


def test_a_table_of_somebody_else_stays_and_nothing_is_predicted(run, bundle: Path, tmp_path: Path):
    from support import BrightRunner

    nibabel.save(nibabel.Nifti1Image(STACK.T.copy(), np.eye(4)), tmp_path / "x.nii")
    words = ("predict", bundle, tmp_path / "x.nii", "--format", "csv,nifti", "--out", tmp_path / "out")
    for _ in range(2):
        assert run(*words)[0] == 0
    (tmp_path / "out" / "x-results.csv").write_text("mine")
    BrightRunner.opened = 0
    assert_one_line_error(*run(*words), "x-results.csv is there")
    assert BrightRunner.opened == 0
    assert (tmp_path / "out" / "x-results.csv").read_text() == "mine"
    assert run(*words, "--overwrite")[0] == 0


def test_a_disk_that_fills_while_results_are_written_leaves_no_pictures_either(
    run, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from s2m_edge.imaging.results import write

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    nibabel.save(nibabel.Nifti1Image(STACK.T.copy(), np.eye(4)), tmp_path / "x.nii")
    monkeypatch.setattr(write, "_publish", full)
    words = ("predict", bundle, tmp_path / "x.nii", "--format", "csv,png", "--out", tmp_path / "out")
    assert_one_line_error(*run(*words), "the disk is full")
    assert not (tmp_path / "out").exists()


def test_a_study_that_a_format_cannot_express_is_one_line(run, bundle: Path, codes: Path, tmp_path: Path):
    write_series(tmp_path / "in", STACK, SeriesDescription="a", **PATIENT)
    nibabel.save(nibabel.Nifti1Image(STACK.T.copy(), np.eye(4)), tmp_path / "in" / "x.nii")
    words = ("predict", bundle, tmp_path / "in", "--format", "dicom-seg", "--out", tmp_path / "out")
    code, out, err = run(*words, "--codes", codes)
    assert_one_line_error(code, out, err, "x is no DICOM")
    assert [path.name.startswith("a-") for path in (tmp_path / "out").iterdir()] == [True]
    assert "1 of 2 studies predicted, 1 left out" in out


def test_formats_and_codes_that_there_are_not_are_refused_before_the_work(run, bundle: Path, tmp_path: Path):
    nibabel.save(nibabel.Nifti1Image(STACK.T.copy(), np.eye(4)), tmp_path / "x.nii")
    words = ("predict", bundle, tmp_path / "x.nii", "--out", tmp_path / "out")
    assert_one_line_error(*run(*words, "--format", "gif"), "there is no format 'gif'", "dicom-seg")
    assert_one_line_error(*run(*words, "--format", ","), "no format is given")
    assert_one_line_error(*run(*words, "--format", "dicom-seg", "--codes", tmp_path / "none.json"), "none.json")


def test_where_no_study_can_be_predicted_no_folder_of_results_is_left(run, bundle: Path, tmp_path: Path):
    (tmp_path / "broken.nii").write_bytes(b"nothing")
    out, mine = tmp_path / "new" / "results", tmp_path / "mine"
    mine.mkdir()
    for words in (("--format", "csv"), ("--slices", "all"), ()):  # the last: as a picture
        for place in (out, mine):
            assert_one_line_error(*run("predict", bundle, tmp_path / "broken.nii", *words, "--out", place), "broken")
        assert not out.parent.exists(), "nor the one that was made for it"
        assert mine.is_dir(), "a folder of the user's stays"
    nibabel.save(nibabel.Nifti1Image(STACK.T.copy(), np.eye(4)), tmp_path / "x.nii")
    assert run("predict", bundle, tmp_path / "broken.nii", tmp_path / "x.nii", "--format", "csv", "--out", out)[0] == 2
    assert [path.name for path in out.iterdir()] == ["x-results.csv"]
