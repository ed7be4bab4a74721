"""DICOM series: found, put in order, and read as a viewer shows them."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.uid import CTImageStorage, SegmentationStorage, generate_uid

from dicom_files import item, write_dicom, write_series
from s2m_edge.errors import ImageError
from s2m_edge.imaging.intensity import Intensity
from s2m_edge.imaging.read import read_image
from s2m_edge.imaging.study import Study, find_studies

STACK = (np.arange(7)[:, None, None] * 100 + np.arange(12 * 10).reshape(12, 10)).astype(np.uint16)


def only(place: Path) -> Study:
    (source,) = find_studies(place)
    return source.open()


def numbers(study: Study) -> list[int]:
    return [int(header.InstanceNumber) for header in study.datasets]


def test_slices_are_in_the_order_of_their_places_whatever_names_and_numbers_say(tmp_path: Path):
    names = ["q", "10", "9.dcm", "a", "z.ima", "deep/x", "b"]
    (tmp_path / "deep").mkdir()
    write_series(tmp_path, STACK, names, each_InstanceNumber=list(range(7, 0, -1)))
    study = only(tmp_path)
    assert numbers(study) == [7, 6, 5, 4, 3, 2, 1]
    assert study.kind == "DICOM series"
    assert study.remarks == ()
    for index in range(7):
        assert np.array_equal(study.slice(index), read_image(tmp_path / names[index]))
    assert study.grid.spacing == (0.5, 0.7)
    assert study.spacing_from == "PixelSpacing"
    assert study.grid.positions is not None
    assert study.grid.positions[:, 2].tolist() == [0, 3, 6, 9, 12, 15, 18]


def test_clutter_documents_and_dicom_without_pictures_are_passed_over(tmp_path: Path):
    write_series(tmp_path / "a", STACK)
    (tmp_path / "a" / "DICOMDIR").write_bytes(b"no matter")
    (tmp_path / "a" / "._IM0000").write_bytes(b"no matter")
    (tmp_path / "a" / "report.txt").write_text("no matter")
    write_dicom(tmp_path / "a" / "seg", STACK[0], SOPClassUID=SegmentationStorage)
    header = pydicom.dcmread(tmp_path / "a" / "IM0000")
    del header.PixelData, header.Rows, header.Columns
    header.save_as(tmp_path / "a" / "report", enforce_file_format=True)
    assert only(tmp_path).slices == 7


def test_two_series_of_one_folder_are_two_studies_with_names_that_any_system_takes(tmp_path: Path):
    uids = [generate_uid(), generate_uid()]
    write_series(
        tmp_path, STACK, [f"a{k}" for k in range(7)], SeriesInstanceUID=uids[0], SeriesDescription="T1/../ ax\\*?"
    )
    second = [f"b{k}" for k in range(3)]
    write_series(tmp_path, STACK[:3], second, SeriesInstanceUID=uids[1], SeriesNumber=5, PatientName="Ünï^\x1b[2J")
    found = find_studies(tmp_path)
    assert [source.name for source in found] == [f"T1-..-ax-{tail(uids[0])}", f"series-5-{tail(uids[1])}"]
    assert [source.open().slices for source in found] == [7, 3]


def tail(uid: str) -> str:
    return uid.replace(".", "")[-8:]


@pytest.mark.parametrize("name", ["Müller^Ärzte", "山田^太郎", "[bold]^\x07", "a" * 300])
def test_a_patient_of_any_name_and_a_series_of_any_description_have_a_study(tmp_path: Path, name: str):
    tags: dict[str, Any] = {"SpecificCharacterSet": "ISO_IR 192", "PatientName": name, "SeriesDescription": name}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's, of values that the standard does not allow
        write_series(tmp_path, STACK, **tags)
    (source,) = find_studies(tmp_path)
    assert source.name.isprintable()
    assert len(source.name.encode()) < 160
    assert not set(source.name) & set('/\\:*?"<>| ')
    assert source.open().slices == 7


def test_files_given_one_by_one_are_put_together_too(tmp_path: Path):
    paths = write_series(tmp_path, STACK)
    (source,) = find_studies(list(reversed(paths[2:5])))
    assert numbers(source.open()) == [3, 4, 5]
    (alone,) = find_studies(paths[0])
    assert (alone.path, alone.open().slices) == (paths[0], 1)


def test_copies_and_slices_at_one_place_are_left_out_and_named(tmp_path: Path):
    paths = write_series(tmp_path, STACK)
    shutil.copy(paths[2], tmp_path / "copy")
    again = pydicom.dcmread(paths[4])
    again.SOPInstanceUID, again.InstanceNumber = generate_uid(), 99
    again.save_as(tmp_path / "again")
    study = only(tmp_path)
    assert numbers(study) == [1, 2, 3, 4, 5, 6, 7]
    copies, repeated = study.remarks
    assert "1 file is a copy" in copies
    assert copies.endswith("copy") != copies.endswith("IM0002")
    assert repeated.endswith("again")


def test_a_gap_is_named_and_a_rounded_step_is_not(tmp_path: Path):
    places = [[0, 0, z] for z in (0, 3, 6.2, 9, 15, 18, 21)]
    write_series(tmp_path, STACK, each_ImagePositionPatient=places)
    (remark,) = only(tmp_path).remarks
    assert "3 mm apart, but 6 mm between slices 3 and 4: slices are missing" in remark


def test_several_slices_at_every_place_are_all_kept_and_make_no_volume(tmp_path: Path):
    places = [[0, 0, 3 * (k // 2)] for k in range(6)]
    write_series(tmp_path, STACK[:6], each_ImagePositionPatient=places, each_InstanceNumber=[2, 1, 4, 3, 6, 5])
    study = only(tmp_path)
    assert numbers(study) == [1, 2, 3, 4, 5, 6]
    assert study.grid.positions is None
    assert study.grid.extents is None
    assert "2 slices lie at each of 3 places" in study.remarks[0]


def test_a_tilted_gantry_keeps_its_order_and_is_named(tmp_path: Path):
    angle = np.radians(20)
    across = [1, 0, 0, 0, np.cos(angle), -np.sin(angle)]
    places = [[0, 0, 5.0 * k] for k in range(7)]
    write_series(tmp_path, STACK, list("gcaebfd"), each_ImagePositionPatient=places, ImageOrientationPatient=across)
    study = only(tmp_path)
    assert numbers(study) == [1, 2, 3, 4, 5, 6, 7]
    assert "tilted gantry" in study.remarks[0]
    assert study.grid.extents == pytest.approx(np.full(7, 5 * np.cos(angle)))
    with pytest.raises(ImageError, match="cannot be cut along the coronal plane"):
        find_studies(tmp_path)[0].open("coronal")


def test_an_oblique_stack_and_one_that_runs_downwards_are_ordered_along_their_normal(tmp_path: Path):
    normal = np.array([0.0, -0.6, 0.8])
    for name, sign in (("up", 1), ("down", -1)):
        places = [list(np.round(sign * 2.5 * k * normal, 6)) for k in range(7)]
        write_series(
            tmp_path / name, STACK, each_ImagePositionPatient=places, ImageOrientationPatient=[1, 0, 0, 0, 0.8, 0.6]
        )
        study = only(tmp_path / name)
        assert numbers(study) == list(range(1, 8))[::sign]
        assert study.remarks == ()
        assert study.grid.depths == pytest.approx(np.arange(7) * 2.5 - (0 if sign == 1 else 15))


def test_without_places_the_numbers_count_and_without_them_the_names(tmp_path: Path):
    gone = {"each_ImagePositionPatient": [None] * 7, "ImageOrientationPatient": None}
    write_series(tmp_path / "numbered", STACK, list("gfedcba"), **gone)
    study = only(tmp_path / "numbered")
    assert numbers(study) == [1, 2, 3, 4, 5, 6, 7]
    assert "order of InstanceNumber" in study.remarks[0]
    assert (study.grid.positions, study.grid.extents) == (None, None)
    names = [f"IM{k}" for k in (11, 9, 10, 2, 1, 3, 100)]
    write_series(tmp_path / "named", STACK, names, each_InstanceNumber=[None] * 7, **gone)
    ordered = only(tmp_path / "named")
    assert [Path(header.filename).name for header in ordered.datasets] == sorted(names, key=lambda name: int(name[2:]))


def refusal(place: Path) -> str:
    (source,) = find_studies(place)
    with pytest.raises(ImageError) as caught:
        source.open()
    assert source.name in str(caught.value)
    return str(caught.value)


def test_a_localizer_of_another_size_in_the_series_is_refused_by_name_and_the_next_series_is_read(tmp_path: Path):
    uid = generate_uid()
    write_series(tmp_path / "mixed", STACK, SeriesInstanceUID=uid, StudyInstanceUID="1.2")
    write_dicom(
        tmp_path / "mixed" / "scout", np.zeros((30, 40), np.uint16), SeriesInstanceUID=uid, StudyInstanceUID="1.2"
    )
    words = refusal(tmp_path / "mixed")
    assert "7 of 10 x 12 pixels" in words
    assert "1 of 40 x 30 pixels, scout" in words
    write_series(tmp_path / "other", STACK[:4])
    found = find_studies(tmp_path)
    assert [source.fault is None and source.name for source in found][1:] == [found[1].name]
    assert found[1].open().slices == 4


def test_two_orientations_spacings_patients_or_frames_of_reference_are_no_one_series(tmp_path: Path):
    turned = [[1, 0, 0, 0, 1, 0]] * 4 + [[0, 1, 0, 0, 0, -1]] * 3
    write_series(tmp_path / "a", STACK, each_ImageOrientationPatient=turned)
    assert "2 orientations (4, 3 slices)" in refusal(tmp_path / "a")
    write_series(tmp_path / "b", STACK, each_PixelSpacing=[[0.5, 0.5]] * 6 + [[1, 1]])
    assert "2 pixel spacings" in refusal(tmp_path / "b")
    write_series(tmp_path / "c", STACK, each_PatientID=["1"] * 3 + ["2"] * 4)
    assert "2 patients under one SeriesInstanceUID, for instance IM0000 and IM0003" in refusal(tmp_path / "c")
    write_series(tmp_path / "d", STACK, each_FrameOfReferenceUID=["1.2"] * 3 + ["1.3"] * 4)
    assert "2 frames of reference" in refusal(tmp_path / "d")


def test_the_detectors_spacing_is_told_from_the_bodys(tmp_path: Path):
    write_series(tmp_path, STACK, PixelSpacing=None, ImagerPixelSpacing=[0.2, 0.3])
    study = only(tmp_path)
    assert (study.grid.spacing, study.spacing_from) == ((0.2, 0.3), "ImagerPixelSpacing")
    assert "detector" in study.remarks[0]


def test_a_rule_over_the_volume_takes_the_percentiles_of_all_slices_in_their_units(tmp_path: Path):
    write_series(tmp_path, STACK, RescaleSlope=2, RescaleIntercept=-1000, SOPClassUID=CTImageStorage)
    rule = Intensity("percentiles", 10, 90, over="volume")
    values = STACK.astype(np.float64) * 2 - 1000
    low, high = np.percentile(values, [10, 90], method="nearest")
    due = np.floor(np.clip((values - low) * 255 / (high - low), 0, 255) + 0.5)
    study = only(tmp_path)
    for index in range(7):
        assert np.abs(study.slice(index, rule)[..., 0] - due[index]).max() <= 1
    alone = study.slice(3, Intensity("percentiles", 10, 90))
    assert not np.array_equal(alone, study.slice(3, rule))


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_another_plane_is_cut_as_that_of_a_nifti_with_the_same_values(tmp_path: Path, plane: str):
    import nibabel

    stack = np.random.default_rng(3).integers(0, 256, (9, 12, 10), dtype=np.uint8)
    write_series(tmp_path / "dicom", stack, first=(-4, 7, 2))
    affine = np.diag([-0.7, -0.5, 3.0, 1.0])
    affine[:3, 3] = (4, -7, 2)
    nibabel.save(nibabel.Nifti1Image(stack.transpose(2, 1, 0), affine), tmp_path / "x.nii")
    cut = find_studies(tmp_path / "dicom")[0].open(plane)  # type: ignore[arg-type]
    volume = find_studies(tmp_path / "x.nii")[0].open(plane)  # type: ignore[arg-type]
    assert cut.slices == volume.slices
    for index in range(cut.slices):
        assert np.array_equal(cut.slice(index), volume.slice(index))
    for name in ("spacing", "directions", "positions"):
        assert np.allclose(getattr(cut.grid, name), getattr(volume.grid, name)), name
    labels = np.stack([cut.slice(index)[..., 0] for index in range(cut.slices)])
    assert np.array_equal(cut.labels_in_file_order(labels), stack), "and back on the acquired slices"
    assert np.array_equal(volume.labels_in_file_order(labels), stack.transpose(2, 1, 0))


def test_a_part_of_a_series_has_its_own_places_headers_and_labels(tmp_path: Path):
    write_series(tmp_path, STACK)
    part = only(tmp_path).part(range(2, 5))
    assert (part.slices, numbers(part)) == (3, [3, 4, 5])
    assert part.grid.positions is not None
    assert part.grid.positions[:, 2].tolist() == [6, 9, 12]
    labels = np.ones((3, 12, 10), np.uint8)
    assert part.labels_in_file_order(labels) is labels
    assert np.array_equal(part.slice(1), only(tmp_path).slice(3))
    single = only(tmp_path).part(range(6, 7))
    assert single.grid.extents == pytest.approx([3])
    with pytest.raises(ImageError, match=r"has the slices 0\.\.6"):
        only(tmp_path).part(range(5, 9))


def test_headers_come_without_pixels_and_are_not_kept(tmp_path: Path):
    write_series(tmp_path, STACK)
    headers = only(tmp_path).datasets
    assert "PixelData" not in headers[0]
    assert headers[0] is not headers[0]
    assert [int(header.InstanceNumber) for header in headers[2:4]] == [3, 4]


def test_a_file_that_is_cut_off_or_gone_is_named_when_its_slice_is_read(tmp_path: Path):
    paths = write_series(tmp_path, STACK)
    paths[3].write_bytes(paths[3].read_bytes()[:-40])
    study = only(tmp_path)
    with pytest.raises(ImageError, match="IM0003 cannot be read as an image"):
        study.slice(3)
    paths[5].unlink()
    with pytest.raises(ImageError, match=r"there is no image .*IM0005"):
        study.slice(5)
    assert study.slice(4).shape == (12, 10, 3)


def test_a_compression_without_a_decoder_is_named_with_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from pydicom.encaps import encapsulate
    from pydicom.uid import JPEGLSLossless

    for path in write_series(tmp_path, STACK[:2]):
        header = pydicom.dcmread(path)
        header.PixelData = encapsulate([b"\xff\xd8\xff\xf7" + bytes(60)])
        header["PixelData"].VR = "OB"
        header.file_meta.TransferSyntaxUID = JPEGLSLossless
        header.save_as(path)
    monkeypatch.setattr("s2m_edge.imaging.dicom.has_decoder", lambda syntax: False)
    with pytest.raises(ImageError, match=r"JPEG-LS.*pip install pyjpegls"):
        only(tmp_path).slice(0)


def test_what_holds_no_study_is_said(tmp_path: Path):
    with pytest.raises(ImageError, match="holds no study"):
        find_studies(tmp_path)
    with pytest.raises(ImageError, match="there is no image"):
        find_studies(tmp_path / "nowhere")
    (tmp_path / "x.dcm").write_bytes(b"no DICOM at all, but named so" * 9)
    (source,) = find_studies(tmp_path)
    with pytest.raises(ImageError, match=r"x\.dcm"):
        source.open()


# Files of many frames.


def frame_group(place: list[float], **measures: object):
    return item(
        PlanePositionSequence=[item(ImagePositionPatient=place)],
        PixelMeasuresSequence=[item(**measures)] if measures else [],
    )


def test_enhanced_mr_is_ordered_by_its_functional_groups_and_labels_return_to_the_stored_frames(tmp_path: Path):
    order = [3, 0, 6, 1, 5, 2, 4]  # the stored frame k lies at 4 * order[k] mm
    groups = [frame_group([1, 2, 4.0 * place]) for place in order]
    shared = item(
        PlaneOrientationSequence=[item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
        PixelMeasuresSequence=[item(PixelSpacing=[1.5, 1.25], SliceThickness=4)],
    )
    write_dicom(
        tmp_path / "mr",
        STACK,
        NumberOfFrames=7,
        SOPClassUID="1.2.840.10008.5.1.4.1.1.4.1",
        PerFrameFunctionalGroupsSequence=groups,
        SharedFunctionalGroupsSequence=[shared],
        SeriesInstanceUID=generate_uid(),
    )
    study = only(tmp_path)
    assert study.kind == "DICOM frames"
    assert (study.grid.spacing, study.grid.thickness) == ((1.5, 1.25), 4)
    assert study.grid.positions is not None
    assert study.grid.positions[:, 2].tolist() == [0, 4, 8, 12, 16, 20, 24]
    for index in range(7):
        assert np.array_equal(study.slice(index), read_image(tmp_path / "mr", order.index(index)))
    labels = np.arange(7, dtype=np.uint8)[:, None, None] + np.zeros((7, 12, 10), np.uint8)
    assert study.labels_in_file_order(labels)[:, 0, 0].tolist() == order
    part = study.part(range(5, 7))
    assert part.labels_in_file_order(labels[5:])[:, 0, 0].tolist() == [0, 0, 6, 0, 5, 0, 0]
    assert len(part.datasets) == 1


def test_ultrasound_clips_of_one_series_are_a_study_each_in_the_order_of_their_frames(tmp_path: Path):
    uid = generate_uid()
    for name in ("clip1", "clip2"):
        frames = np.arange(5 * 12 * 10 * 3, dtype=np.uint16).astype(np.uint8).reshape(5, 12, 10, 3)
        write_dicom(tmp_path / name, frames, NumberOfFrames=5, SeriesInstanceUID=uid, SeriesDescription="echo")
    found = find_studies(tmp_path)
    assert [source.name for source in found] == [f"echo-1-{tail(uid)}", f"echo-2-{tail(uid)}"]
    study = found[1].open()
    assert "order of their frames" in study.remarks[0]
    assert study.grid.positions is None
    assert np.array_equal(study.slice(4), frames[4])


def test_a_reconstructed_nuclear_volume_has_the_places_of_its_detector(tmp_path: Path):
    detector = item(ImagePositionPatient=[0, 0, 50], ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
    write_dicom(
        tmp_path / "nm",
        STACK,
        NumberOfFrames=7,
        ImageType=["ORIGINAL", "PRIMARY", "RECON TOMO", "EMISSION"],
        SpacingBetweenSlices=-4,
        PixelSpacing=[4, 4],
        DetectorInformationSequence=[detector],
        SeriesInstanceUID=generate_uid(),
    )
    study = only(tmp_path)
    assert study.grid.positions is not None
    assert study.grid.positions[:, 2].tolist() == [26, 30, 34, 38, 42, 46, 50]
    assert np.array_equal(study.slice(0), read_image(tmp_path / "nm", 6))


@pytest.mark.parametrize("large", [False, True], ids=["read whole", "read in place"])
@pytest.mark.parametrize("compressed", [False, True], ids=["native", "RLE"])
def test_frames_come_out_the_same_read_whole_or_in_place(tmp_path: Path, large: bool, compressed: bool):
    side = 150 if large else 12
    frames = np.random.default_rng(0).integers(0, 4000, (4, side, side), dtype=np.uint16)
    path = write_dicom(tmp_path / "x", frames, NumberOfFrames=4, SeriesInstanceUID=generate_uid())
    if compressed:
        header = pydicom.dcmread(path)
        header.compress("1.2.840.10008.1.2.5")
        header.save_as(path)
    study = only(tmp_path)
    for index in range(4):
        values = frames[index].astype(np.float64)
        due = np.floor((values - values.min()) * 255 / (values.max() - values.min()) + 0.5)
        assert np.array_equal(study.slice(index)[..., 0], due)
