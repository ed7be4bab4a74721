"""Ultrasound: the size of a pixel is that of the one region in centimetres, within it, and is never guessed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.uid import UltrasoundImageStorage, generate_uid

from dicom_files import item, write_dicom
from phantoms import NETWORK
from s2m_edge.imaging.classes import SegmentClass
from s2m_edge.imaging.grid import Part
from s2m_edge.imaging.results.figures import measure
from s2m_edge.imaging.results.nifti import nifti_bytes
from s2m_edge.imaging.results.subject import Subject
from s2m_edge.imaging.results.tables import results_values
from s2m_edge.imaging.study import Study, find_studies

CYST = (SegmentClass("cyst", (1, 2, 3)), SegmentClass("wall", (4, 5, 6)))
PICTURE = {
    "RegionSpatialFormat": 1,
    "RegionDataType": 1,
    "RegionFlags": 0,
    "RegionLocationMinX0": 8,
    "RegionLocationMinY0": 4,
    "RegionLocationMaxX1": 39,
    "RegionLocationMaxY1": 29,
    "PhysicalUnitsXDirection": 3,
    "PhysicalUnitsYDirection": 3,
    "PhysicalDeltaX": 0.02,
    "PhysicalDeltaY": -0.05,
}
TRACE = {
    **PICTURE,
    "RegionSpatialFormat": 3,
    "RegionLocationMinY0": 30,
    "RegionLocationMaxY1": 35,
    "PhysicalUnitsXDirection": 4,
    "PhysicalUnitsYDirection": 7,
}


def region(base: dict[str, Any] = PICTURE, **changes: Any) -> Any:
    return item(**{name: value for name, value in {**base, **changes}.items() if value is not None})


def opened(place: Path, *pictures: list[Any], **tags: Any) -> Study:
    uids = {"SeriesInstanceUID": generate_uid(), "StudyInstanceUID": generate_uid()}
    place.mkdir(exist_ok=True)
    for number, regions in enumerate(pictures):
        given = {"SequenceOfUltrasoundRegions": regions, "InstanceNumber": number, **uids, **tags}
        pixels = np.full((36, 44), 10 * number, np.uint8)
        write_dicom(place / f"{number}", pixels, SOPClassUID=UltrasoundImageStorage, Modality="US", **given)
    (source,) = find_studies(place)
    return source.open()


def labels(rows: slice, columns: slice, label: int = 1) -> np.ndarray:
    made = np.zeros((1, 36, 44), np.uint8)
    made[0, rows, columns] = label
    return made


def test_one_region_in_centimetres_says_the_size_of_its_pixels(tmp_path: Path):
    study = opened(tmp_path, [region(), region(TRACE)])
    assert study.grid.spacing == pytest.approx((0.5, 0.2))  # 0.05 cm between rows, whichever way they count
    assert study.grid.part == Part(4, 8, 30, 40)
    assert (study.spacing_from, study.remarks) == ("SequenceOfUltrasoundRegions", ())
    cyst, wall = measure(labels(slice(4, 30), slice(8, 40)), study.grid, CYST)
    assert (cyst.pixels, cyst.unmeasured) == (26 * 32, "")
    assert cyst.area_mm2 == pytest.approx((26 * 32 * 0.5 * 0.2,))
    assert cyst.diameter is not None
    assert 13.0 <= cyst.diameter.mm <= np.hypot(13.0, 6.4)
    assert cyst.volume_ml is None, "no region says what lies across"
    assert (wall.pixels, wall.area_mm2) == (0, (0.0,))


@pytest.mark.parametrize(
    ("rows", "columns"),
    [(slice(3, 9), slice(8, 9)), (slice(4, 31), slice(8, 9)), (slice(5, 6), slice(7, 9)), (slice(5, 6), slice(39, 41))],
)
def test_a_mask_that_leaves_the_region_has_pixels_alone_and_says_why(rows: slice, columns: slice, tmp_path: Path):
    study = opened(tmp_path, [region()], SliceThickness=3)
    marked: Any = labels(rows, columns) | labels(slice(20, 22), slice(20, 22), 2)
    cyst, wall = measure(marked, study.grid, CYST)
    assert (cyst.area_mm2, cyst.volume_ml, cyst.diameter) == (None, None, None)
    assert cyst.pixels > 0
    assert wall.area_mm2 == pytest.approx((4 * 0.1,)), "another class is within"
    values = results_values(Subject(study, marked, CYST, NETWORK))
    (remark,) = values["study"]["remarks"]
    assert remark.startswith("cyst: ")
    assert "of its pixels lie outside the part of the picture" in remark
    assert values["classes"][0]["slices"][0]["area_mm2"] is None


@pytest.mark.parametrize(
    ("regions", "words"),
    [
        ([region(TRACE)], "none of its 1 ultrasound regions"),
        ([region(), region(RegionLocationMinX0=41, RegionLocationMaxX1=43)], "2 of its 2 ultrasound regions"),
        ([region(PhysicalUnitsXDirection=4)], "none of its 1"),
        ([region(PhysicalUnitsYDirection=0)], "none of its 1"),
        ([region(RegionSpatialFormat=2)], "none of its 1"),
        ([region(PhysicalDeltaX=0.0)], "no step that can be"),
        ([region(PhysicalDeltaY=None)], "no step that can be"),
        ([region(PhysicalDeltaY=float("nan"))], "no step that can be"),
        ([region(RegionLocationMaxX1=3)], "no place"),
        ([region(RegionLocationMinY0=None)], "no place"),
        ([region(), region(TRACE, RegionLocationMinY0=29)], "lies over the one"),
        ([region(), region(TRACE, RegionLocationMinY0=None)], "says no place"),
    ],
)
def test_what_is_not_certain_is_no_spacing_with_its_reason(regions: list[Any], words: str, tmp_path: Path):
    study = opened(tmp_path, regions)
    assert (study.grid.spacing, study.grid.part, study.spacing_from) == (None, None, "")
    (remark,) = study.remarks
    assert remark.startswith("there is no spacing: ")
    assert words in remark
    (cyst, _) = measure(labels(slice(5, 9), slice(9, 12)), study.grid, CYST)
    assert (cyst.area_mm2, cyst.unmeasured) == (None, "")


def test_a_picture_without_regions_says_nothing(tmp_path: Path):
    study = opened(tmp_path, [])
    assert (study.grid.spacing, study.remarks) == (None, ())


def test_pixel_spacing_of_the_file_comes_first(tmp_path: Path):
    study = opened(tmp_path, [region()], PixelSpacing=[0.25, 0.25])
    assert (study.grid.spacing, study.grid.part, study.spacing_from) == ((0.25, 0.25), None, "PixelSpacing")


def test_pictures_of_several_depths_are_one_series_without_a_spacing(tmp_path: Path):
    study = opened(tmp_path / "same", [region()], [region()])
    assert (study.slices, study.grid.spacing) == (2, pytest.approx((0.5, 0.2)))
    study = opened(tmp_path / "others", [region()], [region(PhysicalDeltaX=0.03)])
    assert (study.slices, study.grid.spacing) == (2, None)
    assert any("several sizes or places" in remark for remark in study.remarks)
    study = opened(tmp_path / "one-has-none", [region()], [])
    assert (study.slices, study.grid.spacing) == (2, None)


def test_nifti_does_not_give_the_whole_picture_a_regions_spacing(tmp_path: Path):
    import gzip

    import nibabel

    study = opened(tmp_path, [region()], ImageOrientationPatient=[1, 0, 0, 0, 1, 0], ImagePositionPatient=[0, 0, 0])
    marked = labels(slice(5, 9), slice(9, 12))
    found: Any = nibabel.Nifti1Image.from_bytes(gzip.decompress(nifti_bytes(Subject(study, marked, CYST, NETWORK))))  # type: ignore[attr-defined]
    assert found.header.get_zooms()[:2] == (1.0, 1.0)
    assert found.header.get_xyzt_units()[0] == "unknown"
    assert (int(found.header["sform_code"]), int(found.header["qform_code"])) == (0, 0)
