"""From the scanner's files to the reading room: the very lines of docs/studies.md with the bundled network, and other
scanners' studies, read back by programs that are not ours."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import highdicom
import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    CTImageStorage,
    MRImageStorage,
    UltrasoundImageStorage,
    VideoEndoscopicImageStorage,
    VLEndoscopicImageStorage,
    generate_uid,
)

from bundled_exports import bundled_export
from dicom_files import SOUND_SEGMENTATION, item, said_of_segmentation, write_dicom, write_series
from pages import ROOT, blocks
from phantoms import PATIENT
from s2m_edge.imaging.read import read_image
from s2m_edge.samples import sample_images, sample_mask
from s2m_edge.targets.predict import load_bundle
from s2m_edge.targets.registry import find_target
from support import assert_one_line_error, bright_bundle, write_codes

PAGE = ROOT / "docs" / "studies.md"
MM_RIGHT_FRONT_HEAD = np.diag([-1.0, -1.0, 1.0, 1.0])


def read_back(out: Path, series: Path) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """What three readers find in the results of one series: labels as pydicom and as nibabel put them on the series'
    pixels, slices x rows x columns in the order of their places, and the table's row of the study.

    Nothing of the toolkit is used: each voxel is found by the places that the files themselves say.
    """
    headers = [pydicom.dcmread(path) for path in series.iterdir()]
    normal = np.cross(headers[0].ImageOrientationPatient[:3], headers[0].ImageOrientationPatient[3:])
    headers.sort(key=lambda header: float(np.dot(header.ImagePositionPatient, normal)))
    (seg,), (nifti,), (table,) = (list(out.glob(f"*{end}")) for end in ("-seg.dcm", "-mask.nii.gz", "-results.csv"))
    assert said_of_segmentation(seg) == SOUND_SEGMENTATION
    segmentation = pydicom.dcmread(seg)
    places = [[float(value) for value in header.ImagePositionPatient] for header in headers]
    frames = segmentation.pixel_array.reshape(-1, segmentation.Rows, segmentation.Columns)
    by_pydicom = np.zeros((len(headers), headers[0].Rows, headers[0].Columns), np.uint8)
    for frame, group in zip(frames, segmentation.PerFrameFunctionalGroupsSequence, strict=True):
        place = [float(value) for value in group.PlanePositionSequence[0].ImagePositionPatient]
        at = int(np.argmin(np.linalg.norm(np.array(places) - place, axis=1)))
        assert np.allclose(places[at], place, atol=1e-4)
        by_pydicom[at] |= frame
    uids = [header.SOPInstanceUID for header in headers]
    read: Any = highdicom.seg.segread(seg)
    by_instance = read.get_pixels_by_source_instance(uids, combine_segments=True, assert_missing_frames_are_empty=True)
    assert np.array_equal(by_instance, by_pydicom)
    volume: Any = nibabel.load(nifti)  # type: ignore[attr-defined]
    stored, to_mm = np.asarray(volume.dataobj), MM_RIGHT_FRONT_HEAD @ volume.affine
    by_nibabel = np.zeros_like(by_pydicom)
    for at, header in enumerate(headers):
        along, down = np.array(header.ImageOrientationPatient, float).reshape(2, 3)
        down_mm, along_mm = header.PixelSpacing
        rows, columns = np.mgrid[: header.Rows, : header.Columns]
        mm = np.array(places[at]) + columns[..., None] * along_mm * along + rows[..., None] * down_mm * down
        voxels = (np.linalg.inv(to_mm) @ np.c_[mm.reshape(-1, 3), np.ones(rows.size)].T)[:3]
        assert np.allclose(voxels, np.rint(voxels), atol=1e-3), "the voxels of one are those of the other"
        by_nibabel[at] = stored[tuple(np.rint(voxels).astype(int))].reshape(rows.shape)
    with table.open(newline="") as file:
        lines = list(csv.DictReader(file))
    down_mm, along_mm = map(float, headers[0].PixelSpacing)
    slices = [line for line in lines if line["scope"] == "slice"]
    counts = [int((plane > 0).sum()) for plane in by_pydicom]
    assert [int(line["area_pixels"]) for line in slices] == counts
    assert [float(line["area_mm2"]) for line in slices] == pytest.approx([n * down_mm * along_mm for n in counts])
    (study,) = (line for line in lines if line["scope"] == "study")
    step = float(np.dot(np.subtract(places[1], places[0]), normal))
    assert float(study["volume_ml"]) == pytest.approx(sum(counts) * down_mm * along_mm * step / 1000)
    return by_pydicom, by_nibabel, study


@pytest.mark.slow
def test_the_bundled_network_takes_a_series_to_three_files_that_show_one_mask(
    run, elsewhere: Path, tmp_path_factory: pytest.TempPathFactory
):
    folder = bundled_export(tmp_path_factory, "left-ventricle", find_target("onnx")).folder
    shutil.copytree(folder, elsewhere / "exports" / "s2mnet-left-ventricle-256-onnx-float32")
    (script,) = (block for block in blocks(PAGE, "python") if "heart" in block)
    exec(compile(script, "page", "exec"), {"__name__": "page"})
    (predict,) = (line for block in blocks(PAGE, "sh") for line in block.splitlines() if "predict" in line)
    code, _, err = run(*predict.split()[1:])
    assert code == 0, err
    assert err.strip() == "", "nothing to remark"
    by_pydicom, by_nibabel, study = read_back(elsewhere / "results", elsewhere / "heart")
    assert np.array_equal(by_pydicom, by_nibabel)
    assert (study["class"], study["spacing_from"]) == ("left-ventricle", "PixelSpacing")
    bundle, pictures = load_bundle(folder), sample_images("cardiac")
    alone = np.stack([bundle.predict(path).labels for path in pictures])
    assert np.array_equal(by_pydicom, alone), "the slices are those of the PNG files, one by one and in their order"
    truth = np.stack([read_image(sample_mask(path))[..., 0] > 127 for path in pictures])
    assert 2 * (truth & (by_pydicom > 0)).sum() / (truth.sum() + by_pydicom.sum()) > 0.9


GEOMETRY: dict[str, Any] = {"PixelSpacing": [0.75, 0.5], "ImageOrientationPatient": [0, 1, 0, 0, 0, -1]}
MADE: dict[str, dict[str, Any]] = {
    "CT": {
        "SOPClassUID": CTImageStorage,
        "Modality": "CT",
        "RescaleSlope": 2,
        "RescaleIntercept": -1024,
        "RescaleType": "HU",
        "WindowCenter": 40,
        "WindowWidth": 400,
    },
    "MR": {"SOPClassUID": MRImageStorage, "Modality": "MR"},
}


@pytest.mark.parametrize("modality", MADE)
def test_made_series_of_a_scanner_become_three_files_that_show_one_mask(
    run, modality: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """What is bright is marked: 300 HU within -500 HU of a signed CT, 900 within 20 of an MR."""
    inside, outside = {"CT": (300, -500), "MR": (900, 20)}[modality]
    values = np.full((4, 36, 48), outside, np.int16)
    for number in range(4):
        values[number, 6 : 15 + 3 * number, 12 : 24 + 6 * number] = inside
    marked = values == inside
    tags = {**PATIENT, **GEOMETRY, **MADE[modality]}
    if modality == "CT":
        values = ((values - tags["RescaleIntercept"]) // tags["RescaleSlope"] - 600).astype(np.int16)
        tags["RescaleIntercept"] += 600 * tags["RescaleSlope"]
        assert values.min() < 0, "signed"
    each = [[4.0 * number, 7, 9] for number in range(4)]  # sagittal; their normal looks to the right
    write_series(tmp_path / "in", values, list("cadb"), each_ImagePositionPatient=each, SeriesDescription="a", **tags)
    bundle, out = bright_bundle(tmp_path / "bundle", monkeypatch), tmp_path / "out"
    words = ("--format", "dicom-seg,nifti,csv", "--codes", write_codes(tmp_path / "codes.json", bundle), "--out", out)
    code, _, err = run("predict", bundle, tmp_path / "in", *words)
    assert code == 0, err
    by_pydicom, by_nibabel, study = read_back(out, tmp_path / "in")
    assert np.array_equal(by_pydicom, by_nibabel)
    assert study["spacing_from"] == "PixelSpacing"
    truth = marked[::-1]  # along the normal
    assert 2 * (truth & (by_pydicom > 0)).sum() / (truth.sum() + by_pydicom.sum()) > 0.85, "a network of 16 x 12 pixels"


@pytest.mark.parametrize(("left", "measured"), [(10, True), (0, False)])
def test_an_ultrasound_picture_is_measured_where_its_region_holds_the_whole_mask(
    run, left: int, measured: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[16:32, left : left + 30] = 250
    region = item(
        RegionSpatialFormat=1,
        RegionLocationMinX0=4,
        RegionLocationMinY0=2,
        RegionLocationMaxX1=60,
        RegionLocationMaxY1=45,
        PhysicalUnitsXDirection=3,
        PhysicalUnitsYDirection=3,
        PhysicalDeltaX=0.02,
        PhysicalDeltaY=0.05,
    )
    tags = {"SOPClassUID": UltrasoundImageStorage, "Modality": "US", "SequenceOfUltrasoundRegions": [region]}
    write_dicom(tmp_path / "us", picture, **PATIENT, SeriesInstanceUID=generate_uid(), SeriesNumber=2, **tags)
    bundle = bright_bundle(tmp_path / "bundle", monkeypatch)
    code, _, err = run("predict", bundle, tmp_path / "us", "--format", "csv", "--out", tmp_path / "out")
    assert code == 0, err
    (table,) = (tmp_path / "out").iterdir()
    with table.open(newline="") as file:
        (row,) = (line for line in csv.DictReader(file) if line["scope"] == "slice")
    assert int(row["area_pixels"]) > 300
    assert row["spacing_from"] == "SequenceOfUltrasoundRegions"
    assert row["area_mm2"] == (f"{int(row['area_pixels']) * 0.2 * 0.5:.9g}" if measured else "")
    assert ("pixels lie outside the part" in err) is not measured


@pytest.mark.parametrize("kind", ["pictures", "video"])
def test_endoscopic_pictures_in_colour_become_one_segmentation_that_refers_to_each(
    run, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """What is bright is marked; the fractional segmentation holds how bright."""
    frames = np.zeros((3, 48, 64, 3), np.uint8)
    for number in (0, 2):
        frames[number, 8 : 24 + 8 * number, 10:50] = (250, 200, 180)
    tags = {**PATIENT, "SeriesInstanceUID": generate_uid(), "SeriesNumber": 4, "SeriesDescription": "colon"}
    (tmp_path / "in").mkdir()
    if kind == "video":
        tags |= {"SOPClassUID": VideoEndoscopicImageStorage, "NumberOfFrames": 3}
        write_dicom(tmp_path / "in" / "video", frames, **tags)
    else:
        tags["SOPClassUID"] = VLEndoscopicImageStorage
        for number, frame in enumerate(frames):
            write_dicom(tmp_path / "in" / f"{2 - number}", frame, InstanceNumber=number, **tags)
    bundle = bright_bundle(tmp_path / "bundle", monkeypatch)
    words = ("predict", bundle, tmp_path / "in", "--codes", write_codes(tmp_path / "codes.json", bundle), "--out")
    found: dict[str, np.ndarray] = {}
    for seg_type in ("binary", "fractional", "labelmap"):
        out = tmp_path / seg_type
        code, _, err = run(*words, out, "--format", "dicom-seg,nifti,csv", "--seg-type", seg_type)
        assert code == 0, err
        (seg,) = out.glob("*-seg.dcm")
        if seg_type != "labelmap":  # which dciodvfy does not know
            assert said_of_segmentation(seg) == SOUND_SEGMENTATION
        read: Any = highdicom.seg.segread(seg)
        headers = [pydicom.dcmread(path) for path in (tmp_path / "in").iterdir()]
        uids = [header.SOPInstanceUID for header in sorted(headers, key=lambda header: header.get("InstanceNumber", 0))]
        ways: dict[str, Any] = {"assert_missing_frames_are_empty": True, "combine_segments": seg_type != "fractional"}
        if kind == "video":
            pixels = read.get_pixels_by_source_frame(uids[0], [1, 2, 3], **ways)
        else:
            pixels = read.get_pixels_by_source_instance(uids, **ways)
        found[seg_type] = pixels if seg_type != "fractional" else pixels[..., 0]
    (nifti,) = (tmp_path / "binary").glob("*-mask.nii.gz")
    volume: Any = nibabel.load(nifti)  # type: ignore[attr-defined]
    labels = np.asarray(volume.dataobj).transpose(2, 1, 0)
    assert [int(plane.sum()) > 300 for plane in labels] == [True, False, True]
    assert np.array_equal(found["binary"], labels)
    assert np.array_equal(found["labelmap"], labels)
    assert np.array_equal(found["fractional"] >= 0.5, labels > 0)
    assert len(np.unique(found["fractional"])) > 10
    (table,) = (tmp_path / "binary").glob("*.csv")
    with table.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["scope"] == "slice"]
    assert [int(row["area_pixels"]) for row in rows] == [int(plane.sum()) for plane in labels]
    assert {row["area_mm2"] for row in rows} == {""}, "an endoscope does not say how large a pixel is"


def test_a_kind_of_segmentation_is_for_dicom_seg(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    bundle = bright_bundle(tmp_path / "bundle", monkeypatch)
    words = ("predict", bundle, tmp_path, "--out", tmp_path / "out")
    for others in ((), ("--format", "csv")):
        assert_one_line_error(*run(*words, *others, "--seg-type", "labelmap"), "--seg-type is for DICOM-SEG")
    words = (*words, "--format", "dicom-seg", "--seg-type", "surface")
    assert_one_line_error(*run(*words), "no --seg-type 'surface'", "fractional")
