"""DICOM segmentations: read back by pydicom and highdicom, checked by dicom3tools and DCMTK, and of the patient no more
than it takes."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pydicom
import pytest
from pydicom.config import disable_value_validation
from pydicom.uid import (
    UltrasoundImageStorage,
    UltrasoundMultiFrameImageStorage,
    VideoEndoscopicImageStorage,
    VLEndoscopicImageStorage,
    XRayAngiographicImageStorage,
    generate_uid,
)

from dicom_files import SOUND_SEGMENTATION, dicom, item, needed_program, said_of_segmentation
from phantoms import GRIDS, HEART, HEART_CODES, NETWORK, PATIENT, ellipsoid, enhanced, headers, stack
from s2m_edge.errors import ConfigurationError, ImageError, MissingBackendError
from s2m_edge.imaging.classes import SegmentClass
from s2m_edge.imaging.results import dicom_seg
from s2m_edge.imaging.results.codes import Code, bundled_codes
from s2m_edge.imaging.results.dicom_seg import SEG_TYPES, dicom_seg_bytes, find_seg_type, is_segmentation_of
from s2m_edge.imaging.results.dicom_source import ANONYMITY
from s2m_edge.notice import NOTICE
from support import remarks

POLYP = (SegmentClass("polyp", (0, 200, 120)),)


def made_of(labels: np.ndarray, datasets: list[Any], **changes: Any) -> Any:
    given = {"classes": HEART, "codes": HEART_CODES, "algorithm": NETWORK, **changes}
    return pydicom.dcmread(BytesIO(dicom_seg_bytes(labels, datasets, **given)))


def labels_by_place(found: Any, count: int) -> dict[tuple[float, ...], np.ndarray]:
    """Labels of every frame by the position that it says, as any reader of the standard would put them together."""
    united: dict[tuple[float, ...], np.ndarray] = {}
    frames = found.pixel_array.reshape(-1, found.Rows, found.Columns)
    for plane, group in zip(frames, found.PerFrameFunctionalGroupsSequence, strict=True):
        place = tuple(float(value) for value in group.PlanePositionSequence[0].ImagePositionPatient)
        number = int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        assert 1 <= number <= count
        united.setdefault(place, np.zeros(plane.shape, np.uint8))[plane > 0] = number
    return united


@pytest.mark.parametrize("name", GRIDS)
def test_masks_lie_on_the_voxels_of_their_slices(name: str):
    """Read by pydicom alone, by position."""
    grid = GRIDS[name]
    labels, datasets = ellipsoid(grid), headers(grid)
    found = labels_by_place(made_of(labels, datasets), 2)
    shown = 0
    for plane, header in zip(labels, datasets, strict=True):
        place = tuple(float(value) for value in header.ImagePositionPatient)
        assert np.array_equal(found[place] if place in found else np.zeros_like(plane), plane)
        shown += place in found
    assert shown == len(found) == labels.any(axis=(1, 2)).sum()


@pytest.mark.parametrize("name", GRIDS)
def test_highdicom_gives_the_same_masks_by_their_source_instances(name: str):
    grid = GRIDS[name]
    labels, datasets = ellipsoid(grid), headers(grid)
    found = highdicom.seg.segread(BytesIO(dicom_seg_bytes(labels, datasets, HEART, HEART_CODES, NETWORK)))
    read = found.get_pixels_by_source_instance(
        [header.SOPInstanceUID for header in datasets], combine_segments=True, assert_missing_frames_are_empty=True
    )
    assert np.array_equal(read, labels)


def test_frames_of_one_file_are_referred_to_by_their_number():
    grid = GRIDS["tilted gantry"]
    labels, header = ellipsoid(grid), enhanced(grid)
    found = highdicom.seg.segread(BytesIO(dicom_seg_bytes(labels, [header], HEART, HEART_CODES, NETWORK)))
    read = found.get_pixels_by_source_frame(
        header.SOPInstanceUID,
        list(range(1, grid.slices + 1)),
        combine_segments=True,
        assert_missing_frames_are_empty=True,
    )
    assert np.array_equal(read, labels)


def test_segments_are_coded_and_say_what_made_them():
    network = replace(NETWORK, threshold=0.25)
    found = made_of(ellipsoid(GRIDS["LPS"]), headers(GRIDS["LPS"]), algorithm=network, slices=range(3, 8))
    assert (found.Modality, found.SegmentationType, found.SegmentsOverlap) == ("SEG", "BINARY", "NO")
    assert [entry.SegmentNumber for entry in found.SegmentSequence] == [1, 2]
    heart = found.SegmentSequence[0]
    assert heart.SegmentLabel == "left ventricle"
    assert heart.SegmentAlgorithmType == "AUTOMATIC"
    for sequence, value in (
        (heart.SegmentedPropertyCategoryCodeSequence, "91723000"),
        (heart.SegmentedPropertyTypeCodeSequence, "87878005"),
    ):
        assert (sequence[0].CodeValue, sequence[0].CodingSchemeDesignator) == (value, "SCT")
    told = heart.SegmentationAlgorithmIdentificationSequence[0]
    assert (told.AlgorithmName, told.AlgorithmVersion) == (NETWORK.name, NETWORK.version)
    assert f"weights_sha256={NETWORK.weights_sha256}" in told.AlgorithmParameters
    assert told.AlgorithmParameters.endswith("precision=float32,target=onnx,threshold=0.25,slices=3-7")


def test_region_modifier_laterality_and_colour_are_written():
    code = replace(
        HEART_CODES["left ventricle"],
        region=Code("80891009", "SCT", "Heart"),
        laterality=Code("7771000", "SCT", "Left"),
        modifier=Code("24028007", "SCT", "Right"),
        colour=(255, 255, 255),
    )
    grid = stack(slices=3)
    found = made_of(ellipsoid(grid) % 2, headers(grid), classes=HEART[:1], codes={"left ventricle": code})
    segment = found.SegmentSequence[0]
    [kind] = segment.SegmentedPropertyTypeCodeSequence
    assert kind.SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning == "Right"
    [region] = segment.AnatomicRegionSequence
    assert (region.CodeMeaning, region.AnatomicRegionModifierSequence[0].CodeMeaning) == ("Heart", "Left")
    assert segment.RecommendedDisplayCIELabValue[0] == 65535


def test_it_says_that_it_is_for_research_alone():
    found = made_of(ellipsoid(GRIDS["LPS"]), headers(GRIDS["LPS"]))
    assert found.ContentDescription == NOTICE
    assert found.SeriesDescription.endswith(NOTICE)
    assert found.ContentQualification == "RESEARCH"


def test_it_belongs_to_the_patient_and_the_study_in_a_series_of_its_own():
    datasets = headers(GRIDS["LPS"])
    found = made_of(ellipsoid(GRIDS["LPS"]), datasets)
    assert {name: str(found.get(name)) for name in PATIENT} == PATIENT
    assert found.FrameOfReferenceUID == datasets[0].FrameOfReferenceUID
    assert found.SeriesInstanceUID != datasets[0].SeriesInstanceUID
    assert found.SeriesNumber == 1003
    [referred] = found.ReferencedSeriesSequence
    assert referred.SeriesInstanceUID == datasets[0].SeriesInstanceUID
    uids = [entry.ReferencedSOPInstanceUID for entry in referred.ReferencedInstanceSequence]
    assert uids == [header.SOPInstanceUID for header in datasets]


SECRETS = {
    "PatientAddress": "SECRET street",
    "OtherPatientIDs": "SECRET-2",
    "PatientWeight": "70.125",
    "PatientAge": "069Y",
    "EthnicGroup": "SECRET group",
    "Occupation": "SECRET work",
    "PatientComments": "SECRET comment",
    "AdditionalPatientHistory": "SECRET history",
    "AdmittingDiagnosesDescription": "SECRET diagnosis",
    "StudyDescription": "SECRET study",
    "InstitutionName": "SECRET hospital",
    "StationName": "SECRET station",
    "OperatorsName": "SECRET^Operator",
    "PerformingPhysicianName": "SECRET^Physician",
    "ProtocolName": "SECRET protocol",
    "DeviceSerialNumber": "SECRET device",
    "ClinicalTrialSubjectID": "SECRET subject",
    "ClinicalTrialSponsorName": "SECRET sponsor",
}


@pytest.mark.parametrize("kind", ["series", "frames"])
def test_nothing_else_of_the_patients_is_copied(kind: str):
    grid = stack(slices=3)
    datasets = headers(grid) if kind == "series" else [enhanced(grid)]
    for header in datasets:
        for name, value in SECRETS.items():
            setattr(header, name, value)
        block = header.private_block(0x0009, "SECRET MAKER", create=True)
        block.add_new(1, "LO", "SECRET private")
        header.RequestAttributesSequence = [item(ScheduledProcedureStepDescription="SECRET request")]
    content = dicom_seg_bytes(ellipsoid(grid), datasets, HEART, HEART_CODES, NETWORK)
    assert b"SECRET" not in content
    found = pydicom.dcmread(BytesIO(content))
    assert [name for name in SECRETS if name in found and name != "DeviceSerialNumber"] == []
    assert not any(element.tag.is_private for element in found.iterall())


def test_what_says_how_a_study_was_de_identified_is_kept():
    grid = stack(slices=3)
    told = {"PatientIdentityRemoved": "YES", "DeidentificationMethod": "a script"}
    assert set(told) <= set(ANONYMITY)
    found = made_of(ellipsoid(grid), headers(grid, **told))
    assert {name: found.get(name) for name in told} == told


def test_a_header_without_a_patient_is_of_nobody():
    grid = stack(slices=3)
    datasets = headers(grid)
    for header in datasets:
        for name in PATIENT:
            if name != "StudyInstanceUID":
                delattr(header, name)
    found = made_of(ellipsoid(grid), datasets)
    assert {str(found.get(name) or "") for name in PATIENT if name != "StudyInstanceUID"} == {""}


def test_a_date_or_a_sex_that_is_none_is_left_empty():
    grid = stack(slices=3)
    with disable_value_validation():
        datasets = headers(grid, PatientBirthDate="31.01.1950", PatientSex="female", StudyTime="10:11")
    found = made_of(ellipsoid(grid), datasets)
    assert {str(found.get(name) or "") for name in ("PatientBirthDate", "PatientSex", "StudyTime")} == {""}
    assert found.StudyDate == PATIENT["StudyDate"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("AccessionNumber", "A" * 30), ("PatientID", "P" * 100), ("PatientName", "N" * 300), ("StudyID", "S" * 40)],
)
def test_identifiers_that_are_too_long_arrive_as_they_are_without_a_word(name: str, value: str, recwarn: Any):
    """Archives have them, and find a study by them."""
    grid = stack(slices=3)
    with disable_value_validation():
        datasets = headers(grid, **{name: value})
    recwarn.clear()
    content = dicom_seg_bytes(ellipsoid(grid), datasets, HEART, HEART_CODES, NETWORK)
    assert remarks(recwarn) == []
    with disable_value_validation():
        assert str(pydicom.dcmread(BytesIO(content)).get(name)) == value


def test_names_in_other_scripts_arrive():
    grid = stack(slices=3)
    datasets = headers(grid, SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Jörg")
    codes = {"Übergröße": HEART_CODES["myocardium"]}
    found = made_of(ellipsoid(grid) % 2, datasets, classes=(SegmentClass("Übergröße", (1, 2, 3)),), codes=codes)
    assert (str(found.PatientName), found.SegmentSequence[0].SegmentLabel) == ("Müller^Jörg", "Übergröße")


def test_a_class_name_that_the_format_cannot_hold_is_shortened():
    grid, name = stack(slices=3), "a\\b\x1b" + "x" * 100
    codes = {name: HEART_CODES["myocardium"]}
    found = made_of(ellipsoid(grid) % 2, headers(grid), classes=(SegmentClass(name, (1, 2, 3)),), codes=codes)
    assert found.SegmentSequence[0].SegmentLabel == "a/b/x1b" + "x" * 57


def test_an_empty_slice_has_no_frame_and_an_empty_mask_has_all():
    grid = stack(slices=3)
    labels = np.zeros((3, grid.rows, grid.columns), np.uint8)
    labels[1, 4, 5] = 2
    assert made_of(labels, headers(grid)).NumberOfFrames == 1
    empty = made_of(np.zeros_like(labels), headers(grid))
    assert empty.NumberOfFrames == 6
    assert not empty.pixel_array.any()


def picture(kind: str, frames: int = 1, **tags: Any) -> Any:
    header = dicom(np.zeros((20, 24, 3), np.uint8), **PATIENT, SOPClassUID=kind, SeriesInstanceUID=generate_uid())
    header.NumberOfFrames = frames
    if frames == 1:
        del header.NumberOfFrames
    for name, value in tags.items():
        setattr(header, name, value)
    return header


@pytest.mark.parametrize("kind", [VLEndoscopicImageStorage, "1.2.840.10008.5.1.4.1.1.7", XRayAngiographicImageStorage])
@pytest.mark.parametrize("spacing", [None, [0.5, 0.25]])
def test_one_picture_that_lies_nowhere_has_a_segmentation_too(kind: str, spacing: list[float] | None):
    header = picture(kind)
    if spacing is not None:
        header.PixelSpacing = spacing
    labels = np.zeros((1, 20, 24), np.uint8)
    labels[0, 3:9, 4:20] = 1
    content = dicom_seg_bytes(labels, [header], POLYP, bundled_codes("polyp"), NETWORK)
    found = pydicom.dcmread(BytesIO(content))
    again = highdicom.seg.segread(BytesIO(content)).get_pixels_by_source_instance([header.SOPInstanceUID])
    assert np.array_equal(again[..., 0], labels)
    assert np.array_equal(found.pixel_array.reshape(labels.shape), labels)
    assert "FrameOfReferenceUID" not in found
    assert found.SourceImageSequence[0].ReferencedSOPInstanceUID == header.SOPInstanceUID


def clip(kind: str) -> list[Any]:
    return [picture(kind, 3)]


def pictures(kind: str, **tags: Any) -> list[Any]:
    series = generate_uid()
    return [picture(kind, InstanceNumber=number, **{"SeriesInstanceUID": series, **tags}) for number in range(3)]


NOWHERE: dict[str, Callable[[], list[Any]]] = {
    "ultrasound clip": lambda: clip(UltrasoundMultiFrameImageStorage),
    "video": lambda: clip(VideoEndoscopicImageStorage),
    "endoscopic pictures": lambda: pictures(VLEndoscopicImageStorage),
    "ultrasound pictures with a spacing": lambda: pictures(UltrasoundImageStorage, PixelSpacing=[0.5, 0.25]),
}


def marked() -> np.ndarray:
    """Nothing in the second picture."""
    labels = np.zeros((3, 20, 24), np.uint8)
    labels[0, 3:9, 4:20], labels[2, 1:4, 2:9], labels[2, 8:10, 5:9] = 1, 1, 2
    return labels


@pytest.mark.parametrize("source", NOWHERE)
def test_several_pictures_that_lie_nowhere_are_referred_to_one_by_one(source: str, tmp_path: Path):
    labels, datasets = marked(), NOWHERE[source]()
    content = dicom_seg_bytes(labels, datasets, HEART, HEART_CODES, NETWORK)
    found, read = pydicom.dcmread(BytesIO(content)), highdicom.seg.segread(BytesIO(content))
    names = {"FrameOfReferenceUID", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"}
    assert not names & {element.keyword for element in found.iterall()}, "no place, and no spacing, is made up"
    ways: dict[str, Any] = {"combine_segments": True, "assert_missing_frames_are_empty": True}
    uids = [header.SOPInstanceUID for header in datasets]
    if len(datasets) == 1:
        again = read.get_pixels_by_source_frame(uids[0], [1, 2, 3], **ways)
    else:
        again = read.get_pixels_by_source_instance(uids, **ways)
    assert np.array_equal(again, labels)
    planes = []
    for group, plane in zip(found.PerFrameFunctionalGroupsSequence, found.pixel_array, strict=True):
        number = group.FrameContentSequence[0].InStackPositionNumber - 1
        reference = group.DerivationImageSequence[0].SourceImageSequence[0]
        assert reference.ReferencedSOPInstanceUID == uids[number if len(uids) > 1 else 0]
        segment = group.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        assert np.array_equal(plane > 0, labels[number] == segment)
        planes.append((segment, number))
    assert planes == [(1, 0), (1, 2), (2, 2)], "in the order of the pictures"
    (tmp_path / "seg.dcm").write_bytes(content)
    assert said_of_segmentation(tmp_path / "seg.dcm") == SOUND_SEGMENTATION
    assert is_segmentation_of(tmp_path / "seg.dcm", set(uids))
    empty = made_of(np.zeros_like(labels), datasets)
    assert (empty.NumberOfFrames, empty.pixel_array.any()) == (6, False)


def fractions_of(labels: np.ndarray) -> np.ndarray:
    """Probabilities of both classes in 255 steps: full within a label, and a ramp around them."""
    ramp = np.broadcast_to(np.arange(labels.shape[2], dtype=np.uint8) * 4, labels.shape)
    return np.stack([np.where(labels == label, 255, ramp // label) for label in (1, 2)]).astype(np.uint8)


@pytest.mark.parametrize("source", ["series", "endoscopic pictures", "endoscopy"])
def test_a_fractional_segmentation_holds_the_probabilities(source: str, tmp_path: Path):
    labels, datasets = (marked(), NOWHERE[source]()) if source in NOWHERE else SOURCES[source]()
    fractions = fractions_of(labels)
    network = (HEART, HEART_CODES, NETWORK)
    content = dicom_seg_bytes(labels, datasets, *network, seg_type="fractional", fractions=fractions)
    found = pydicom.dcmread(BytesIO(content))
    assert (found.SegmentationType, found.SegmentationFractionalType) == ("FRACTIONAL", "PROBABILITY")
    assert found.MaximumFractionalValue == 255
    read = highdicom.seg.segread(BytesIO(content)).get_pixels_by_source_instance(
        [header.SOPInstanceUID for header in datasets], assert_missing_frames_are_empty=True
    )
    assert np.allclose(read, np.moveaxis(fractions, 0, -1) / 255, atol=1e-6)
    (tmp_path / "seg.dcm").write_bytes(content)
    assert said_of_segmentation(tmp_path / "seg.dcm") == SOUND_SEGMENTATION
    with pytest.raises(ValueError, match="needs the probabilities of each"):
        dicom_seg_bytes(labels, datasets, *network, seg_type="fractional")


@pytest.mark.parametrize("source", ["series", "missing slice", "endoscopic pictures", "endoscopy"])
def test_a_label_map_holds_the_number_of_the_class(source: str, tmp_path: Path):
    """dciodvfy of dicom3tools does not know the object yet; highdicom and pydicom do."""
    labels, datasets = (marked(), NOWHERE[source]()) if source in NOWHERE else SOURCES[source]()
    content = dicom_seg_bytes(labels, datasets, HEART, HEART_CODES, NETWORK, seg_type="labelmap")
    found = pydicom.dcmread(BytesIO(content))
    assert (found.SegmentationType, found.SOPClassUID) == ("LABELMAP", "1.2.840.10008.5.1.4.1.1.66.7")
    assert [int(entry.SegmentNumber) for entry in found.SegmentSequence if entry.SegmentNumber] == [1, 2]
    read = highdicom.seg.segread(BytesIO(content)).get_pixels_by_source_instance(
        [header.SOPInstanceUID for header in datasets], combine_segments=True, assert_missing_frames_are_empty=True
    )
    assert np.array_equal(read, labels)
    assert set(np.unique(found.pixel_array)) <= {0, 1, 2}
    (tmp_path / "seg.dcm").write_bytes(content)
    assert is_segmentation_of(tmp_path / "seg.dcm", {header.SOPInstanceUID for header in datasets})


def test_a_kind_of_segmentation_that_there_is_not_is_refused():
    assert [find_seg_type(name) for name in ("binary", " FRACTIONAL", "labelmap")] == list(SEG_TYPES)
    with pytest.raises(ConfigurationError, match=r"no --seg-type 'surface'. Choose binary, fractional, labelmap"):
        find_seg_type("surface")


def test_what_is_no_dicom_is_refused_with_the_remedy():
    with pytest.raises(ImageError, match=r"brain is no DICOM.*--format nifti"):
        dicom_seg_bytes(np.zeros((3, 4, 5), np.uint8), [], HEART, HEART_CODES, NETWORK, "brain")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda found: delattr(found[0], "StudyInstanceUID"), "no StudyInstanceUID"),
        (lambda found: delattr(found[0], "ImagePositionPatient"), "says in part where"),
        (lambda found: [setattr(one, "PixelSpacing", 0.5) for one in found], "not iterable"),
        (lambda found: [setattr(one, "ImageOrientationPatient", [1, 0]) for one in found], "length 6"),
        (lambda found: setattr(found[1], "SeriesInstanceUID", generate_uid()), "differ in SeriesInstanceUID"),
        (lambda found: setattr(found[1], "SOPInstanceUID", found[0].SOPInstanceUID), "share a SOPInstanceUID"),
        (lambda found: setattr(found[1], "ImageOrientationPatient", [0, 1, 0, 1, 0, 0]), "orientation"),
        (lambda found: [setattr(one, "SOPClassUID", "1.2.3.4") for one in found], "cannot be of 1.2.3.4"),
        (lambda found: [delattr(one, "FrameOfReferenceUID") for one in found], "frame of reference"),
        (lambda found: [delattr(one, "PixelSpacing") for one in found], "pixel spacing"),
    ],
)
def test_a_damaged_series_is_refused_in_one_line(change: Callable[[Any], Any], words: str):
    grid = stack(slices=3)
    datasets = headers(grid)
    change(datasets)
    with pytest.raises(ImageError, match=words) as found:
        made_of(ellipsoid(grid), datasets)
    assert "\n" not in str(found.value)
    assert "--format nifti" in str(found.value) or "give one" in str(found.value)


def test_a_class_without_a_code_is_refused():
    grid = stack(slices=3)
    with pytest.raises(ConfigurationError, match=r"'myocardium'.*--codes"):
        made_of(ellipsoid(grid), headers(grid), codes={"left ventricle": HEART_CODES["left ventricle"]})


def test_without_highdicom_the_remedy_is_its_installation(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "highdicom", None)
    with pytest.raises(MissingBackendError, match=r"pip install .*dicom"):
        dicom_seg.require_highdicom()


def test_labels_of_other_sizes_or_classes_are_a_mistake():
    grid = stack(slices=3)
    with pytest.raises(ValueError, match="labels are"):
        made_of(np.zeros((2, 4, 5), np.uint8), headers(grid))
    with pytest.raises(ValueError, match="labels go to 3"):
        made_of(np.full((3, grid.rows, grid.columns), 3, np.uint8), headers(grid))


def test_a_segmentation_of_ours_is_told_from_others(tmp_path: Path):
    grid = replace(stack(slices=3), rows=5, columns=5)  # 75 bits: one byte more than is even
    labels = np.zeros((3, 5, 5), np.uint8)
    labels[:, 1:3, 2] = 1
    datasets = headers(grid)
    path, uids = tmp_path / "seg.dcm", {str(header.SOPInstanceUID) for header in datasets}
    path.write_bytes(dicom_seg_bytes(labels, datasets, HEART, HEART_CODES, NETWORK))
    assert is_segmentation_of(path, uids)
    assert not is_segmentation_of(path, {*uids, "1.2.3"})
    for name, value in (("PixelData", bytes(10)), ("Manufacturer", "other"), ("PatientID", "another")):
        changed = pydicom.dcmread(path)
        setattr(changed, name, value)
        changed.save_as(tmp_path / "changed.dcm")
        assert not is_segmentation_of(tmp_path / "changed.dcm", uids)
    (tmp_path / "text.dcm").write_text("mine")
    assert not is_segmentation_of(tmp_path / "text.dcm", uids)


SOURCES: dict[str, Callable[[], tuple[np.ndarray, list[Any]]]] = {
    "series": lambda: (ellipsoid(GRIDS["oblique"]), headers(GRIDS["oblique"])),
    "missing slice": lambda: (ellipsoid(GRIDS["missing slice"]), headers(GRIDS["missing slice"])),
    "enhanced": lambda: (ellipsoid(GRIDS["tilted gantry"]), [enhanced(GRIDS["tilted gantry"])]),
    "empty": lambda: (np.zeros_like(ellipsoid(GRIDS["LPS"])), headers(GRIDS["LPS"])),
    "endoscopy": lambda: (np.ones((1, 20, 24), np.uint8), [picture(VLEndoscopicImageStorage)]),
    "angiography": lambda: (np.ones((1, 20, 24), np.uint8), [picture(XRayAngiographicImageStorage)]),
}


@pytest.mark.parametrize("source", SOURCES)
def test_dicom3tools_finds_no_error(source: str, tmp_path: Path):
    labels, datasets = SOURCES[source]()
    path = tmp_path / "seg.dcm"
    path.write_bytes(dicom_seg_bytes(labels, datasets, HEART, HEART_CODES, NETWORK))
    assert said_of_segmentation(path) == SOUND_SEGMENTATION


def test_dicom3tools_finds_it_consistent_with_its_series(tmp_path: Path):
    """dcentvfy compares what files say of one patient, study and frame of reference."""
    program = needed_program("dcentvfy", "dicom3tools")
    labels, datasets = SOURCES["series"]()
    paths = [tmp_path / f"{number}.dcm" for number in range(len(datasets) + 1)]
    paths[0].write_bytes(dicom_seg_bytes(labels, datasets, HEART, HEART_CODES, NETWORK))
    for path, header in zip(paths[1:], datasets, strict=True):
        header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID
        header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
        header.save_as(path, enforce_file_format=True)
    done = subprocess.run([program, *map(str, paths)], capture_output=True, text=True, timeout=180)
    assert [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")] == []


def test_dcmtk_reads_it(tmp_path: Path):
    program = needed_program("dcmdump", "dcmtk")
    path = tmp_path / "seg.dcm"
    path.write_bytes(dicom_seg_bytes(*SOURCES["series"](), HEART, HEART_CODES, NETWORK))
    done = subprocess.run([program, "+L", str(path)], capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    assert (done.stderr, "=SegmentationStorage" in done.stdout) == ("", True)
