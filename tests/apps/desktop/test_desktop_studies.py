"""Studies in the desktop app: opened by folder, walked through, measured, windowed and exported."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
from made_studies import INSIDE, OUTSIDE, segment_bright, write_ct
from numpy.typing import NDArray
from PIL import Image

from phantoms import GRIDS, SEMI_AXES, VOLUME_ML, stack
from s2m_edge.imaging.study import find_studies

QtTest = pytest.importorskip("PySide6.QtTest", exc_type=ImportError)
QtCore = pytest.importorskip("PySide6.QtCore", exc_type=ImportError)
QtGui = pytest.importorskip("PySide6.QtGui", exc_type=ImportError)
QTest, Qt = QtTest.QTest, QtCore.Qt
Until = Callable[[Callable[[], object]], None]
GRID = GRIDS["LPS"]


@pytest.fixture(autouse=True)
def bright(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The window's network finds what is bright."""
    if "window" in request.fixturenames:
        monkeypatch.setattr(request.getfixturevalue("window").engine, "segment", segment_bright)


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a CT series of 24 slices."""
    folder = tmp_path_factory.mktemp("archive") / "ct"
    write_ct(folder, GRID, SeriesDescription="Thorax")
    return folder


@pytest.fixture(scope="module")
def labels() -> NDArray[np.uint8]:
    """What is bright in it."""
    from phantoms import ellipsoid

    return (ellipsoid(GRID) == 1).astype(np.uint8)


def pixels(item: Any) -> NDArray[np.uint8]:
    image = item.pixmap().toImage().convertToFormat(QtGui.QImage.Format.Format_RGBA8888)
    return np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.width(), 4).copy()[..., :3]


def open_and_wait(window: Any, until: Until, paths: list[Path], count: int) -> None:
    window.open_paths(paths)
    until(lambda: window.queue.list.count() == count and window.canvas.has_overlay)


def segment_all(window: Any, until: Until) -> None:
    QTest.mouseClick(window.queue.run, Qt.MouseButton.LeftButton)
    until(lambda: not window.busy)


def export(window: Any, until: Until, out: Path, *formats: str) -> None:
    for name, box in window.queue.formats.boxes.items():
        box.setChecked(name in formats)
    window.export_to(out)
    until(lambda: not window.busy)


def turn(canvas: Any, modifier: Any, angle: int) -> None:
    """Turn the wheel over the picture."""
    place = QtCore.QPointF(100, 100)
    wheel = QtGui.QWheelEvent(
        place,
        canvas.viewport().mapToGlobal(place),
        QtCore.QPoint(),
        QtCore.QPoint(0, angle),
        Qt.MouseButton.NoButton,
        modifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QtCore.QCoreApplication.sendEvent(canvas.viewport(), wheel)


def drag(canvas: Any, right: int, up: int) -> None:
    """Drag with the right button."""
    start = QtCore.QPoint(200, 200)
    QTest.mousePress(canvas.viewport(), Qt.MouseButton.RightButton, pos=start)
    end = start + QtCore.QPoint(right, -up)
    move = QtGui.QMouseEvent(
        QtCore.QEvent.Type.MouseMove,
        QtCore.QPointF(end),
        canvas.viewport().mapToGlobal(QtCore.QPointF(end)),
        Qt.MouseButton.NoButton,
        Qt.MouseButton.RightButton,
        Qt.KeyboardModifier.NoModifier,
    )
    QtCore.QCoreApplication.sendEvent(canvas.viewport(), move)
    QTest.mouseRelease(canvas.viewport(), Qt.MouseButton.RightButton, pos=end)


def test_a_folder_of_a_series_is_one_entry_and_walked_through(
    window: Any, until: Until, series: Path, labels: NDArray[np.uint8]
):
    open_and_wait(window, until, [series], 1)
    assert window.queue.list.item(0).text().startswith("Thorax-")
    assert "24 slices" in window.queue.list.item(0).text()
    assert window.slices.text.text() == "slice 13 of 24"
    zoom, control, shift = window.canvas.zoom, Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
    for move, index in (
        (lambda: QTest.keyClick(window, Qt.Key.Key_PageDown), 13),
        (lambda: QTest.keyClick(window, Qt.Key.Key_PageUp), 12),
        (lambda: turn(window.canvas, control, -120), 13),
        (lambda: turn(window.canvas, shift, 240), 11),
        (lambda: window.slices.slider.setValue(3), 3),
    ):
        move()
        until(lambda: window.canvas.has_overlay)
        assert window.current[1] == index
        assert np.array_equal(window.presenter.labels, labels[index]), "by place, not by the files' names"
    assert window.canvas.zoom == zoom
    turn(window.canvas, control, -60)  # half a notch of a fine wheel
    assert window.current[1] == 3
    turn(window.canvas, control, -60)
    assert window.current[1] == 4


def test_millimetres_are_those_of_the_phantom(window: Any, until: Until, series: Path, labels: NDArray[np.uint8]):
    from scipy import ndimage

    open_and_wait(window, until, [series], 1)
    area = int(labels[12].sum()) * 1.5
    assert f"{area:,.1f} mm²" in window.controls.millimetres.text()
    assert "pixels of 1.5 x 1 mm (PixelSpacing)" in window.controls.millimetres.text()
    assert "(1 of 24)" in window.controls.volume.text()
    segment_all(window, until)
    until(lambda: "ml" in window.controls.volume.text() and "24 slices:" in window.controls.volume.text())
    (figures,) = window.figures[window.current[0]][1]
    voxel = 1.5 * 1.0 * 2.0 / 1000
    layer = ndimage.binary_dilation(labels).sum() - ndimage.binary_erosion(labels).sum()
    assert abs(figures.volume_ml - VOLUME_ML) < layer * voxel / 2
    assert figures.volume_ml == pytest.approx(VOLUME_ML, rel=0.01)
    assert figures.diameter.mm == pytest.approx(2 * SEMI_AXES[0], abs=2)
    assert f"{figures.volume_ml:.2f} ml, {figures.diameter.mm:.1f} mm across" in window.controls.volume.text()
    window.controls.threshold.setValue(0)  # all is foreground then
    until(lambda: window.figures[window.current[0]][0] == 0)
    assert f"{labels.size * voxel:,.2f} ml" in window.controls.volume.text()
    window.controls.reset.click()


def test_a_study_is_exported_in_all_formats_and_read_back(
    window: Any, until: Until, series: Path, labels: NDArray[np.uint8], tmp_path: Path
):
    import highdicom

    open_and_wait(window, until, [series], 1)
    segment_all(window, until)
    out = tmp_path / "out"
    export(window, until, out, "png", "nifti", "dicom-seg", "csv", "json")
    assert window.message.text() == f"exported 24 to {out}"
    stem = find_studies(series)[0].name
    segmentation: Any = highdicom.seg.segread(out / f"{stem}-seg.dcm")
    headers = sorted(
        (pydicom.dcmread(path, stop_before_pixels=True) for path in series.iterdir()),
        key=lambda header: header.ImagePositionPatient[2],
    )
    planes = segmentation.get_pixels_by_source_instance(
        [header.SOPInstanceUID for header in headers], combine_segments=True, assert_missing_frames_are_empty=True
    )
    assert np.array_equal(planes, labels)
    assert pydicom.dcmread(out / f"{stem}-seg.dcm").ContentDescription == "Research use only. Not a medical device."
    mask: Any = nibabel.load(out / f"{stem}-mask.nii.gz")
    assert np.array_equal(np.asarray(mask.dataobj).transpose(2, 1, 0), labels)
    assert np.allclose(mask.header.get_zooms(), (1.0, 1.5, 2.0))
    with (out / f"{stem}-results.csv").open(newline="", encoding="utf-8") as file:
        figures = list(csv.DictReader(file))
    assert float(figures[0]["volume_ml"]) == pytest.approx(float(labels.sum()) * 0.003)
    assert figures[0]["threshold"] == "0.5"
    assert json.loads((out / f"{stem}-results.json").read_text())["classes"][0]["pixels"] == int(labels.sum())
    assert np.array_equal(np.asarray(Image.open(out / f"{stem}-slice-012-mask.png")), labels[12] * 255)
    with (out / "results.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["area_mm2"]) for row in rows] == [float(plane.sum()) * 1.5 for plane in labels]
    assert {(row["spacing"], row["study"]) for row in rows} == {("1.5 x 1", stem)}

    before = {path.name: path.read_bytes() for path in out.iterdir()}
    export(window, until, out, "nifti", "dicom-seg", "csv", "json")
    assert window.message.text() == f"exported 24 to {out}", "what it wrote for the same study is replaced"
    assert {path.name for path in out.iterdir()} == set(before)
    (out / f"{stem}-seg.dcm").write_bytes(b"somebody's")
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    export(window, until, out, "nifti", "dicom-seg", "csv", "json")
    assert f"{stem}-seg.dcm is there" in window.message.text()
    assert "--" not in window.message.text(), "a window has no options"
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_a_folder_of_patients_is_listed_by_series_and_done_in_one_go(
    window: Any, until: Until, polyp_images: list[Path], tmp_path: Path
):
    from s2m_edge.apps.desktop.documents import OPENED

    small = stack(slices=3)
    folder = tmp_path / "archive"
    for patient in ("a", "b"):
        tags = {"PatientID": patient, "StudyInstanceUID": f"1.2.{ord(patient)}"}
        write_ct(folder / patient / "raw", small, SeriesDescription="CT", **tags)
    for path in sorted((folder / "b" / "raw").iterdir()):  # two series in one folder, and pictures beside them
        shutil.move(path, folder / "a" / "raw" / f"other-{path.name}")
    shutil.copy(polyp_images[0], folder / "a" / "raw" / "photo.jpg")
    nibabel.save(nibabel.Nifti1Image(np.zeros((20, 24, 4), np.int16), np.eye(4)), folder / "b" / "mri.nii")
    (folder / "b" / "broken.dcm").write_bytes(b"no DICOM")
    open_and_wait(window, until, [folder], 4)
    assert "broken.dcm holds no picture" in window.message.text()
    titles = [document.title for document in window.queue.documents()]
    assert titles[:2] == ["photo.jpg", "mri.nii"]
    assert all(title.startswith("CT-") for title in titles[2:])
    assert titles[2] != titles[3]
    segment_all(window, until)
    assert window.message.text() == "10 segmented", "and one when it was shown"
    assert len(window.studies._opened) <= OPENED
    export(window, until, tmp_path / "out", "csv", "nifti")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        ["results.csv", "photo-results.csv", "mri-mask.nii.gz", "mri-results.csv"]
        + [f"{title}-{end}" for title in titles[2:] for end in ("mask.nii.gz", "results.csv")]
    )


def test_a_slice_that_is_cut_off_is_said_and_the_rest_goes_on(
    window: Any, until: Until, polyp_images: list[Path], tmp_path: Path
):
    folder = tmp_path / "ct"
    write_ct(folder, stack(slices=4), SeriesDescription="CT")
    (first,) = [path for path in folder.iterdir() if pydicom.dcmread(path).InstanceNumber == 1]
    first.write_bytes(first.read_bytes()[:-2000])
    shutil.copy(polyp_images[0], folder / "photo.jpg")
    open_and_wait(window, until, [folder], 2)
    segment_all(window, until)
    assert window.message.text() == "3 segmented, 1 could not be read"
    assert first.name in window.message.toolTip()
    export(window, until, tmp_path / "out", "png", "csv")
    title = window.queue.documents()[1].title
    line = f"exported 4 to {tmp_path / 'out'}. {title}: no CSV (3 of 4 slices are segmented)"
    assert window.message.text() == line
    assert len(list((tmp_path / "out").glob("*-mask.png"))) == 4
    assert [path.name for path in (tmp_path / "out").glob("*-results.csv")] == ["photo-results.csv"]


def test_without_a_spacing_there_are_no_millimetres(
    window: Any, until: Until, polyp_images: list[Path], tmp_path: Path
):
    folder = tmp_path / "ct"
    write_ct(folder, stack(slices=3), SeriesDescription="CT")
    for path in folder.iterdir():
        header = pydicom.dcmread(path)
        del header.PixelSpacing
        header.save_as(path)
    shutil.copy(polyp_images[0], folder / "photo.jpg")
    open_and_wait(window, until, [folder], 2)
    for row in range(2):
        window.queue.list.setCurrentRow(row)
        until(lambda row=row: window.canvas.has_overlay and window.current[0] == window.queue.documents()[row])
        assert window.controls.millimetres.text() == "no spacing in the file"
    segment_all(window, until)
    until(lambda: window.current[0] in window.figures)
    assert window.controls.volume.text() == ""
    export(window, until, tmp_path / "out", "csv", "dicom-seg")
    with (tmp_path / "out" / "results.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4
    assert {(row["area_mm2"], row["spacing"]) for row in rows} == {("", "")}
    remarks = window.message.toolTip()
    assert "photo.jpg: no DICOM-SEG (photo is no DICOM, and a DICOM-SEG refers to DICOM instances)" in remarks
    assert (tmp_path / "out" / "photo-results.csv").exists()


def test_the_window_is_of_the_display_alone(
    window: Any, until: Until, series: Path, labels: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
):
    seen: list[NDArray[np.uint8]] = []

    def segment(image: NDArray[np.uint8], *given: Any) -> Any:
        seen.append(image)
        return segment_bright(image, *given)

    monkeypatch.setattr(window.engine, "segment", segment)
    study = find_studies(series)[0].open()
    open_and_wait(window, until, [series], 1)
    canvas, mask = window.canvas, window.presenter.labels.copy()
    due = study.slice(12)
    assert np.array_equal(pixels(canvas._picture), due)
    middle, width = (INSIDE + OUTSIDE) / 2, INSIDE - OUTSIDE
    assert window.window_text.text() == f"level {middle:g}, width {width} (as the network sees it)"
    drag(canvas, 200, 40)  # twice as wide; a tenth of that higher
    assert window.window_text.text() == "level 100, width 1000 (display alone, W resets it)"
    shown = pixels(canvas._picture)
    assert set(np.unique(shown)) == {np.floor(255 * (value + 400) / 1000 + 0.5) for value in (OUTSIDE, INSIDE)}
    assert canvas.has_overlay
    assert np.array_equal(window.presenter.labels, mask)
    QTest.keyClick(window, Qt.Key.Key_PageDown)
    until(lambda: canvas.has_overlay)
    assert set(np.unique(pixels(canvas._picture))) == set(np.unique(shown)), "it stays from slice to slice"
    assert np.array_equal(window.presenter.labels, labels[13])
    assert np.array_equal(seen[-1], study.slice(13)), "what the network gets is what it got before"
    QTest.keyClick(window, Qt.Key.Key_W)
    assert np.array_equal(pixels(canvas._picture), study.slice(13))
    drag(canvas, -50, 0)
    zoom = canvas.zoom
    QTest.mouseDClick(canvas.viewport(), Qt.MouseButton.RightButton, pos=QtCore.QPoint(200, 200))
    assert np.array_equal(pixels(canvas._picture), study.slice(13))
    assert canvas.zoom == zoom


def test_the_window_of_a_picture_is_found_in_its_levels():
    from s2m_edge.apps.desktop.windowing import Window, window_of

    values = np.random.default_rng(0).integers(-1000, 2000, (40, 50)).astype(np.int16)
    for window in (Window(-160, 240), Window(-1000, 500), Window(-160, 240, inverse=True)):
        found = window_of(values, window.picture(values))
        assert found.inverse == window.inverse
        assert (found.low, found.high) == pytest.approx((window.low, window.high), abs=1)
        assert np.abs(found.picture(values).astype(int) - window.picture(values)).max() <= 1
    flat = window_of(np.full((9, 9), 7), np.zeros((9, 9, 3), np.uint8))
    assert flat.width > 0
    assert flat.moved(-(10**6), 0).picture(np.full((9, 9), 7)).shape == (9, 9, 3)


def test_volumes_of_all_kinds_and_frames_are_opened(tmp_path: Path):
    from phantoms import enhanced
    from s2m_edge.apps.desktop.documents import OPENED, Studies, open_documents
    from s2m_edge.imaging.intensity import Intensity

    itk: Any = pytest.importorskip("SimpleITK")
    values = np.arange(4 * 20 * 30, dtype=np.int16).reshape(4, 20, 30)
    for name in ("one.nrrd", "two.mha"):
        itk.WriteImage(itk.GetImageFromArray(values), str(tmp_path / name))
    nibabel.save(nibabel.Nifti1Image(values.transpose(2, 1, 0), np.eye(4)), tmp_path / "three.nii.gz")
    frames = enhanced(stack(slices=5))
    frames.PixelData = np.arange(5 * 44 * 60, dtype=np.int16).tobytes()
    frames.save_as(tmp_path / "four", enforce_file_format=True)
    documents, failures = open_documents([tmp_path])
    assert not failures
    assert [document.source.kind for document in documents] == ["NRRD", "NIfTI", "MetaImage", "DICOM frames"]
    studies = Studies()
    for document in documents:
        read = studies.read(document, document.first_shown, Intensity())
        assert document.slices == (5 if "DICOM" in document.source.kind else 4)
        assert read.grid.spacing is not None
        assert studies.values(document, 0, read.image).dtype == np.int16
        assert len(studies._opened) <= OPENED


def test_what_cannot_be_expressed_is_said_of_each_format(series: Path):
    from s2m_edge.apps.desktop.documents import open_documents
    from s2m_edge.apps.desktop.formats import expressible
    from s2m_edge.imaging.classes import default_classes

    (document,), _ = open_documents([series])
    study = document.source.open()
    kept, remarks = expressible(document, study, ["nifti", "dicom-seg", "csv"], 24, default_classes(1, ("x",)), {})
    assert kept == ["nifti", "csv"]
    (line,) = remarks
    assert "no DICOM-SEG (there is no code for the class 'x'" in line
    assert "--codes" not in line


def test_probabilities_are_kept_exactly_in_little_memory(monkeypatch: pytest.MonkeyPatch):
    import errno
    import tempfile

    from s2m_edge.apps.desktop.kept import Filed, Keeper
    from s2m_edge.errors import OutputError

    generator, keeper = np.random.default_rng(0), Keeper(in_memory=2 * 4 * 600)
    found = [replace(segment_bright(np.zeros((20, 30, 3), np.uint8)), probabilities=values)
             for values in generator.random((5, 1, 20, 30), dtype=np.float32)]  # fmt: skip
    kept = [keeper.keep(one) for one in found]
    assert [isinstance(one.probabilities, Filed) for one in kept] == [False, False, True, True, True]
    for one, two in zip(found, kept, strict=True):
        assert np.array_equal(one.in_picture_size(), two.in_picture_size())

    def full(*_: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with pytest.raises(OutputError, match="TMPDIR"):
        Keeper(0).keep(found[0])
