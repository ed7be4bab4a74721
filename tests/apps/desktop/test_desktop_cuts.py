"""Choosing in the desktop app what a study is cut into: the plane, which volume of a file, and the classes' codes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from made_studies import segment_bright, write_ct

from phantoms import GRIDS
from s2m_edge.imaging.study import find_studies
from support import write_codes

pytest.importorskip("PySide6.QtTest", exc_type=ImportError)
Until = Callable[[Callable[[], object]], None]
GRID = GRIDS["LPS"]


@pytest.fixture(autouse=True)
def bright(window: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The window's network finds what is bright."""
    monkeypatch.setattr(window.engine, "segment", segment_bright)


@pytest.fixture
def series_in_time(tmp_path: Path) -> Path:
    """Two volumes of 40 x 36 x 33 voxels in one file: dark, and bright in a box."""
    values = np.zeros((40, 36, 33, 2), np.int16)
    values[10:30, 8:28, 5:25, 1] = 1000
    path = tmp_path / "time.nii.gz"
    nibabel.save(nibabel.Nifti1Image(values, np.diag([2.0, 2.0, 2.0, 1.0])), path)  # type: ignore[attr-defined]
    return path


def opened(window: Any, until: Until, path: Path) -> Any:
    window.open_paths([path])
    until(lambda: window.queue.list.count() == 1 and window.canvas.has_overlay)
    return window.current[0]


def choose(box: Any, text: str) -> None:
    box.setCurrentIndex(box.findText(text))
    box.activated.emit(box.currentIndex())


def segment_all(window: Any, until: Until) -> None:
    window.segment_all()
    until(lambda: not window.busy)


def test_a_file_of_several_volumes_opens_at_its_first_and_shows_the_others(
    window: Any, until: Until, series_in_time: Path
):
    document = opened(window, until, series_in_time)
    assert (document.volume, document.volumes, document.slices) == (0, 2, 33)
    row = window.slices
    assert [row.volume.itemText(index) for index in range(row.volume.count())] == ["volume 0", "volume 1"]
    assert [row.plane.itemText(index) for index in range(row.plane.count())] == ["axial", "coronal", "sagittal"]
    segment_all(window, until)
    dark = window.studies.values(document, 15, None).max()
    choose(row.volume, "volume 1")
    until(lambda: window.current[0].volume == 1 and window.canvas.has_overlay)
    other = window.current[0]
    assert window.queue.documents() == [other]
    assert set(window.results[other]) == {other.first_shown}, "what was segmented in the other volume is not this one's"
    assert document not in window.results
    assert (dark, window.studies.values(other, 15, None).max()) == (0, 1000)
    assert "volume 1, 33 slices" in window.queue.list.item(0).text()


def test_a_volume_is_cut_along_the_plane_that_is_chosen(
    window: Any, until: Until, series_in_time: Path, tmp_path: Path
):
    opened(window, until, series_in_time)
    choose(window.slices.volume, "volume 1")
    until(lambda: window.current[0].volume == 1)
    choose(window.slices.plane, "coronal")
    until(lambda: window.current[0].plane == "coronal" and window.canvas.has_overlay)
    document = window.current[0]
    assert (document.slices, document.volume) == (36, 1)
    segment_all(window, until)
    for name, box in window.queue.formats.boxes.items():
        box.setChecked(name == "nifti")
    window.export_to(tmp_path / "out")
    until(lambda: not window.busy)
    (mask,) = (tmp_path / "out").glob("*.nii.gz")
    labels = np.asarray(nibabel.load(mask).dataobj)  # type: ignore[attr-defined]
    expected = np.zeros((40, 36, 33), np.uint8)
    expected[10:30, 8:28, 5:25] = 1
    assert np.array_equal(labels, expected), "masks of coronal slices come back to the file's voxels"


def test_a_series_has_the_planes_of_its_volume(window: Any, until: Until, tmp_path: Path):
    write_ct(tmp_path / "ct", GRID, SeriesDescription="Thorax")
    document = opened(window, until, tmp_path / "ct")
    names = [window.slices.plane.itemText(index) for index in range(window.slices.plane.count())]
    assert names == ["as acquired", "axial", "coronal", "sagittal"]
    assert window.slices.volume.isHidden()
    choose(window.slices.plane, "sagittal")
    until(lambda: window.current[0].plane == "sagittal" and window.canvas.has_overlay)
    (source,) = find_studies(tmp_path / "ct")
    assert window.current[0].slices == source.open("sagittal").slices != document.slices
    choose(window.slices.plane, "as acquired")
    until(lambda: window.current[0] == document)


def test_a_cut_that_fails_is_told_and_taken_back(
    window: Any, until: Until, series_in_time: Path, monkeypatch: pytest.MonkeyPatch
):
    document = opened(window, until, series_in_time)
    series_in_time.write_bytes(b"no longer")
    choose(window.slices.plane, "coronal")
    until(lambda: "time.nii.gz" in window.message.text())
    until(lambda: window.slices.plane.currentText() == "axial")
    assert window.queue.documents() == [document]


def test_during_a_batch_nothing_is_cut(window: Any, until: Until, series_in_time: Path):
    document = opened(window, until, series_in_time)
    window.segment_all()
    assert not window.slices.plane.isEnabled()
    window.cut_current("coronal", 0)
    until(lambda: not window.busy)
    assert window.queue.documents() == [document]
    assert window.slices.plane.isEnabled()


def test_a_picture_has_nothing_to_choose(window: Any, until: Until, polyp_images: list[Path]):
    opened(window, until, polyp_images[0])
    assert window.slices.isHidden()


def test_codes_come_from_a_file_and_a_wrong_one_is_told(
    window: Any, until: Until, desktop_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    import pydicom

    monkeypatch.setattr(window, "codes", None)
    wrong = tmp_path / "wrong.json"
    wrong.write_text("{")
    window.use_codes(wrong)
    assert "wrong.json" in window.message.text()
    assert window.codes is None
    window.use_codes(write_codes(tmp_path / "codes.json", desktop_folder))
    assert window.message.text() == "classes have the codes of codes.json"
    write_ct(tmp_path / "ct", GRID, SeriesDescription="Thorax")
    opened(window, until, tmp_path / "ct")
    segment_all(window, until)
    for name, box in window.queue.formats.boxes.items():
        box.setChecked(name == "dicom-seg")
    window.export_to(tmp_path / "out")
    until(lambda: not window.busy)
    (written,) = (tmp_path / "out").glob("*.dcm")
    (segment,) = pydicom.dcmread(written).SegmentSequence
    assert segment.SegmentedPropertyTypeCodeSequence[0].CodeValue == "113343008"
