"""The desktop app's window, used as a person would: clicks, keys, wheel."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import save_file

from s2m_edge.checkpoint import BUNDLED_CHECKPOINTS
from s2m_edge.deploy.bundle import Bundle, open_bundle
from s2m_edge.deploy.golden import GOLDEN_FILE
from s2m_edge.deploy.guard import read_guard
from s2m_edge.files import write_json
from s2m_edge.imaging.read import read_image
from s2m_edge.notice import NOTICE
from s2m_edge.samples import sample_images
from s2m_edge.targets.opening import open_runner
from s2m_edge.targets.predict import predict_image
from support import reseal

QtTest = pytest.importorskip("PySide6.QtTest", exc_type=ImportError)
QtCore = pytest.importorskip("PySide6.QtCore", exc_type=ImportError)
QtGui = pytest.importorskip("PySide6.QtGui", exc_type=ImportError)
QTest, Qt = QtTest.QTest, QtCore.Qt
Until = Callable[[Callable[[], object]], None]


def click(widget: Any) -> None:
    assert widget.isEnabled()
    QTest.mouseClick(widget, Qt.MouseButton.LeftButton)


def pixels(item: Any) -> np.ndarray:
    """RGBA of what a pixmap item shows."""
    image = item.pixmap().toImage().convertToFormat(QtGui.QImage.Format.Format_RGBA8888)
    return np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.width(), 4).copy()


def choose(window: Any, row: int) -> None:
    """Click on an entry of the list."""
    entries = window.queue.list
    place = entries.visualItemRect(entries.item(row)).center()
    QTest.mouseClick(entries.viewport(), Qt.MouseButton.LeftButton, pos=place)


@pytest.fixture
def folder(polyp_images: list[Path], tmp_path: Path) -> Path:
    """Four pictures of different sizes, one of them damaged, and a text."""
    made = tmp_path / "pictures"
    made.mkdir()
    for index, (width, height) in enumerate(((120, 80), (97, 131), (300, 220))):
        with Image.open(polyp_images[index]) as picture:
            picture.resize((width, height)).save(made / f"{index}.png")
    whole = (made / "2.png").read_bytes()
    (made / "3.png").write_bytes(whole[:20])
    (made / "notes.txt").write_text("no picture")
    return made


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """A NIfTI volume of five slices, 40 wide and 60 high, with a grid of its own."""
    values = np.random.default_rng(0).normal(size=(40, 60, 5)).cumsum(axis=0).astype(np.float32)
    path = tmp_path / "heart.nii.gz"
    nibabel.save(nibabel.Nifti1Image(values, np.diag([1.5, 1.5, 8.0, 1.0])), path)
    return path


def test_the_self_test_shows_green_with_device_latency_and_model(window: Any):
    assert window.tools.badge.text() == "Self-test passed"
    assert "3 golden inputs" in window.tools.badge.toolTip()
    assert "ms per image" in window.controls.latency.text()
    assert "executed in float32" in window.controls.latency.text()
    assert window.opened.milliseconds > 0
    assert "float32" in window.controls.model.text()
    assert window.controls.model.text().startswith("small, 96 x 96\nS2M-Net\nfloat32, spectral filter as matmul\n")
    shown = [label.text() for label in window.statusBar().findChildren(type(window.zoom_text))]
    assert NOTICE in shown


def test_the_data_set_has_its_name_and_not_that_of_a_folder(
    desktop_folder: Path, open_window: Callable[[Bundle], Any], tmp_path: Path
):
    copy = Path(shutil.copytree(desktop_folder, tmp_path / "copy"))
    values = open_bundle(copy).contract.values
    values["checkpoint"]["provenance"]["dataset"] = "kvasir_seg"
    write_json(copy / "contract.json", values)
    reseal(copy)
    assert "trained on Kvasir-SEG" in open_window(open_bundle(copy)).controls.model.text().splitlines()


def test_a_low_window_cuts_no_text_off(window: Any):
    window.resize(640, 480)
    QTest.qWait(10)
    assert (window.width(), window.height()) == (640, 480)
    for text in window.controls.findChildren(type(window.controls.model)):
        assert text.height() >= text.heightForWidth(text.width()), text.text()


def test_the_buttons_of_a_file_dialog_show_their_icons(application: Any):
    from PySide6.QtWidgets import QFileDialog, QToolButton

    dialog = QFileDialog()
    dialog.setOption(QFileDialog.Option.DontUseNativeDialog)
    dialog.show()
    button = dialog.findChild(QToolButton, "listModeButton")
    assert isinstance(button, QToolButton)
    drawn = button.grab().toImage().convertToFormat(QtGui.QImage.Format.Format_Grayscale8)
    dialog.close()
    inside = [drawn.pixelColor(column, drawn.height() // 2).lightness() for column in range(4, drawn.width() - 4)]
    assert max(inside) - min(inside) > 100


def test_a_failed_self_test_is_red_and_shows_pictures_without_masks(
    desktop_folder: Path, open_window: Callable[[Bundle], Any], until: Until, folder: Path, tmp_path: Path
):
    copy = Path(shutil.copytree(desktop_folder, tmp_path / "copy"))
    with safe_open(copy / GOLDEN_FILE, framework="numpy") as file:
        metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    tensors["logits.1"] = tensors["logits.1"] + np.float32(0.01)
    save_file(tensors, copy / GOLDEN_FILE, metadata)
    reseal(copy)
    window = open_window(open_bundle(copy))
    assert "FAILED: no masks" in window.tools.badge.text()
    assert "largest probability error" in window.message.text()
    window.open_paths([folder / "0.png"])
    until(lambda: not window.canvas._picture.pixmap().isNull())
    assert not window.canvas.has_overlay
    assert window.controls.areas.text() == "-"
    for button in (window.queue.run, window.queue.export):
        assert not button.isEnabled()
    window.segment_all()
    assert not window.busy
    assert not window.results


def test_a_picture_is_segmented_as_predict_does(window: Any, desktop_bundle: Bundle, until: Until, folder: Path):
    window.open_paths([folder])
    until(lambda: window.queue.list.count() == 3)
    assert "3.png cannot be read" in window.message.text()
    runner = open_runner(desktop_bundle)
    for row in (2, 0, 1):
        choose(window, row)
        until(lambda row=row: window.canvas.has_overlay and window.current[0].path.name == f"{row}.png")
        expected = predict_image(desktop_bundle, runner, folder / f"{row}.png")
        assert np.array_equal(pixels(window.canvas._picture)[..., :3], expected.image)
        assert np.array_equal(window.presenter.labels, expected.labels)
        assert f"{expected.areas['polyp']:,} of {expected.labels.size:,} pixels" in window.controls.details.text()
        assert f"{expected.areas['polyp'] / expected.labels.size:.1%}" in window.controls.areas.text()
        assert ((pixels(window.canvas._overlay)[..., 3] > 0) == (expected.labels > 0)).all()


def test_a_picture_unlike_the_trainings_is_warned_of_beside_its_figures(
    open_window: Callable[[Bundle], Any], desktop_bundle: Bundle, until: Until
):
    vars(desktop_bundle)["guard"] = read_guard(BUNDLED_CHECKPOINTS["polyp"].with_stem("s2mnet-polyp-352-guard"))
    window = open_window(desktop_bundle)
    window.open_paths([*sample_images("polyp")[:1], *sample_images("vessel")[:1]])
    until(lambda: window.queue.list.count() == 2)
    for row, unusual in ((1, True), (0, False), (1, True)):
        choose(window, row)
        until(lambda row=row: window.canvas.has_overlay and window.current[0] == window.queue.documents()[row])
        assert window.controls.warning.isVisible() == unusual
        assert ("looks unlike the pictures" in window.controls.warning.text()) == unusual
        assert "%" in window.controls.areas.text(), "it warns, and takes nothing away"
        assert ("unusual" in window.queue.list.item(row).text()) == unusual


def test_the_batch_shows_progress_and_leaves_nothing_out(window: Any, until: Until, folder: Path, volume: Path):
    window.open_paths([folder, volume])
    until(lambda: window.queue.list.count() == 4 and window.canvas.has_overlay)
    click(window.queue.run)
    assert window.busy
    assert not window.queue.export.isEnabled()
    until(lambda: not window.busy)
    assert {document.path.name: len(found) for document, found in window.results.items()} == {
        "0.png": 1,
        "1.png": 1,
        "2.png": 1,
        "heart.nii.gz": 5,
    }
    texts = [window.queue.list.item(row).text() for row in range(4)]
    assert all("segmented" in text and "ms" in text for text in texts)
    assert "5 slices" in texts[3]
    assert window.message.text() == "7 segmented"
    assert window.queue.export.isEnabled()


def test_work_happens_outside_of_the_windows_thread_and_can_be_cancelled(
    window: Any, until: Until, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    window.open_paths([folder])
    until(lambda: window.queue.list.count() == 3 and window.canvas.has_overlay)
    begun, go_on = threading.Event(), threading.Event()
    threads: list[threading.Thread] = []
    whole = window.engine.segment

    def slow(image: np.ndarray, *given: Any) -> Any:
        threads.append(threading.current_thread())
        begun.set()
        assert go_on.wait(30)
        return whole(image, *given)

    monkeypatch.setattr(window.engine, "segment", slow)
    click(window.queue.run)
    until(begun.is_set)
    box = window.controls.shown
    QTest.mouseClick(box, Qt.MouseButton.LeftButton, pos=QtCore.QPoint(8, box.height() // 2))
    # The window answers while the network runs.
    assert not window.canvas.has_overlay
    click(window.queue.cancel)
    go_on.set()
    until(lambda: not window.busy)
    assert len(threads) == 1
    assert threads[0] is not threading.main_thread()
    assert sum(len(found) for found in window.results.values()) == 2
    assert "cancelled" in window.queue.list.item(2).text()
    assert window.message.text() == "cancelled"


def test_a_file_that_goes_away_fails_alone(window: Any, until: Until, folder: Path):
    window.open_paths([folder])
    until(lambda: window.queue.list.count() == 3 and window.canvas.has_overlay)
    (folder / "1.png").unlink()
    click(window.queue.run)
    until(lambda: not window.busy)
    assert window.message.text() == "1 segmented, 1 could not be read"
    assert "cannot be read" in window.queue.list.item(1).text()
    choose(window, 1)
    until(lambda: window.canvas._picture.pixmap().isNull())
    assert not window.canvas.has_overlay


def test_overlay_and_threshold_follow_their_controls(window: Any, until: Until, folder: Path):
    window.open_paths([folder / "2.png"])
    until(lambda: window.canvas.has_overlay)
    controls = window.controls
    area = int(window.presenter.labels.sum())
    controls.threshold.setFocus()
    QTest.keyClick(controls.threshold, Qt.Key.Key_End)
    assert controls.chosen_threshold == 1.0
    assert int(window.presenter.labels.sum()) < area
    click(controls.reset)
    assert controls.chosen_threshold == 0.5
    assert int(window.presenter.labels.sum()) == area
    both = pixels(window.canvas._overlay)
    assert set(np.unique(both[..., 3])) == {0, round(255 * 0.35), 255}
    QTest.keyClick(controls.opacity, Qt.Key.Key_Home)
    assert set(np.unique(pixels(window.canvas._overlay)[..., 3])) == {0, 255}
    QTest.keyClick(controls.opacity, Qt.Key.Key_End)
    QTest.keyClick(controls.overlay_style, Qt.Key.Key_Down)
    assert controls.overlay_style.currentText() == "outline"
    edge = pixels(window.canvas._overlay)[..., 3] == 255
    assert 0 < edge.sum() < area
    QTest.keyClick(window, Qt.Key.Key_O)
    assert not window.canvas.has_overlay
    QTest.keyClick(window, Qt.Key.Key_O)
    assert window.canvas.has_overlay


def test_the_picture_is_zoomed_by_wheel_and_keys_and_panned_by_dragging(window: Any, until: Until, folder: Path):
    window.open_paths([folder / "2.png"])
    until(lambda: window.canvas.has_overlay)
    canvas, zoomed = window.canvas, QtCore.QPoint(200, 150)
    fitted = canvas.zoom
    spot = canvas.mapToScene(zoomed)
    for _ in range(6):
        place, turned = QtCore.QPointF(zoomed), QtCore.QPoint(0, 120)
        wheel = QtGui.QWheelEvent(
            place,
            canvas.viewport().mapToGlobal(place),
            QtCore.QPoint(),
            turned,
            Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier,
            Qt.ScrollPhase.NoScrollPhase,
            False,
        )
        QtCore.QCoreApplication.sendEvent(canvas.viewport(), wheel)
    assert canvas.zoom == pytest.approx(fitted * 1.25**6)
    assert window.zoom_text.text().strip() == f"{canvas.zoom:.0%}"
    before = canvas.horizontalScrollBar().value(), canvas.verticalScrollBar().value()
    QTest.mousePress(canvas.viewport(), Qt.MouseButton.LeftButton, pos=zoomed)
    QTest.mouseMove(canvas.viewport(), zoomed + QtCore.QPoint(-60, -40))
    QTest.mouseRelease(canvas.viewport(), Qt.MouseButton.LeftButton, pos=zoomed + QtCore.QPoint(-60, -40))
    after = canvas.horizontalScrollBar().value(), canvas.verticalScrollBar().value()
    assert after[0] > before[0]
    assert after[1] > before[1]
    assert canvas.mapToScene(zoomed) != spot
    QTest.keyClick(canvas, Qt.Key.Key_1)
    assert canvas.zoom == pytest.approx(1.0)
    QTest.keyClick(canvas, Qt.Key.Key_Minus)
    assert canvas.zoom == pytest.approx(0.8)
    QTest.keyClick(canvas, Qt.Key.Key_0)
    assert canvas.zoom == pytest.approx(fitted)
    window.resize(1500, 950)
    until(lambda: canvas.zoom > fitted)


def test_slices_are_walked_through_by_slider_and_keys(window: Any, until: Until, volume: Path):
    window.open_paths([volume])
    until(lambda: window.canvas.has_overlay)
    assert window.slices.isVisible()
    assert window.slices.text.text() == "slice 3 of 5"
    for key, index in ((Qt.Key.Key_PageDown, 3), (Qt.Key.Key_PageDown, 4), (Qt.Key.Key_PageUp, 3)):
        QTest.keyClick(window, key)
        assert not window.canvas.has_overlay, "the mask of another slice"
        until(lambda: window.canvas.has_overlay)
        assert window.current[1] == index
        assert np.array_equal(pixels(window.canvas._picture)[..., :3], read_image(volume, index))
    window.slices.slider.setFocus()
    QTest.keyClick(window.slices.slider, Qt.Key.Key_Home)
    until(lambda: window.canvas.has_overlay)
    assert np.array_equal(pixels(window.canvas._picture)[..., :3], read_image(volume, 0))
    assert "4 segmented" in window.queue.list.item(0).text()


def test_another_device_is_tested_measured_and_asked_anew(window: Any, until: Until, folder: Path):
    window.open_paths([folder / "0.png"])
    until(lambda: window.canvas.has_overlay)
    devices = window.controls.device
    assert [devices.itemData(row) for row in range(devices.count())][-1] == "AUTO"
    QTest.keyClick(devices, Qt.Key.Key_End)
    assert devices.currentData() == "AUTO"
    assert not window.ready
    assert not window.canvas.has_overlay
    until(lambda: window.canvas.has_overlay)
    assert window.opened.device == "AUTO"
    assert window.tools.badge.text() == "Self-test passed"
    click(window.controls.compare)
    until(lambda: all(devices.itemText(row).endswith(" ms") for row in range(devices.count())))
    assert window.engine.opened.device == "AUTO", "measuring does not move the network"


def test_dropping_files_opens_them_and_clear_closes_them(window: Any, until: Until, folder: Path):
    data = QtCore.QMimeData()
    data.setUrls([QtCore.QUrl.fromLocalFile(str(folder))])
    event = QtGui.QDropEvent(
        QtCore.QPointF(10, 10),
        Qt.DropAction.CopyAction,
        data,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    window.dropEvent(event)
    until(lambda: window.queue.list.count() == 3 and window.canvas.has_overlay)
    window.message.setText("")
    window.open_paths([folder])  # what is open already stays once
    until(lambda: "cannot be read" in window.message.text())
    assert window.queue.list.count() == 3
    click(window.queue.clear)
    assert window.queue.list.count() == 0
    assert window.canvas._picture.pixmap().isNull()
    assert not window.canvas.has_overlay


def test_what_is_looked_for_while_everything_is_closed_does_not_come_back(
    window: Any, until: Until, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    from s2m_edge.apps.desktop import viewing

    looking, closed = threading.Event(), threading.Event()

    def look(paths: list[Path], step: Any) -> Any:
        looking.set()
        assert closed.wait(60)
        return open_documents(paths, step)

    open_documents = viewing.open_documents
    monkeypatch.setattr(viewing, "open_documents", look)
    window.open_paths([folder])  # looked through while everything is closed
    until(looking.is_set)
    window.open_paths([folder])  # not begun by then
    window.clear()
    closed.set()
    monkeypatch.setattr(viewing, "open_documents", open_documents)
    window.open_paths([sample_images("polyp")[0]])
    until(lambda: window.queue.list.count())
    assert [document.path for document in window.queue.documents()] == [sample_images("polyp")[0]]
    assert "cannot be read" not in window.message.text()


def test_names_of_classes_and_files_are_shown_as_they_are_and_hide_nothing(
    open_window: Callable[[Bundle], Any],
    desktop_folder: Path,
    until: Until,
    polyp_images: list[Path],
    tmp_path: Path,
):
    from PySide6.QtWidgets import QLabel

    from s2m_edge.apps.desktop.worker import Job

    hiding = "<b>polyp</b> 0.0%<!--"
    copy = tmp_path / "<i>bundle"
    shutil.copytree(desktop_folder, copy)
    values = open_bundle(copy).contract.values
    values["classes"][0]["name"] = hiding
    write_json(copy / "contract.json", values)
    reseal(copy)
    picture = tmp_path / "<img src=x> \x1b[2J.jpg"
    picture.write_bytes(polyp_images[0].read_bytes())
    window = open_window(open_bundle(copy))
    window.open_paths([picture])
    until(lambda: window.controls.areas.text() != "-")
    assert window.controls.areas.text().startswith(f"{hiding} ")
    labels = window.findChildren(QLabel)
    assert len(labels) > 10
    assert {made.textFormat() for made in labels} == {Qt.TextFormat.PlainText}
    item = window.queue.list.item(0)
    assert item.text().startswith("<img src=x> \\x1b[2J.jpg\n")
    assert "&lt;img src=x&gt;" in item.toolTip()
    window._failed(Job("documents", lambda: None), "<b>no</b>\nsecond line")
    assert window.message.toolTip() == "<qt>&lt;b&gt;no&lt;/b&gt;<br>second line</qt>"


def test_the_first_picture_waits_for_nothing_that_only_training_needs(desktop_folder: Path):
    """MONAI imports whatever it finds installed, which takes seconds, and a minute from a cold disk."""
    program = (
        "import sys; from pathlib import Path\n"
        "from s2m_edge.apps.desktop import documents, engine, window\n"
        "from s2m_edge.deploy.bundle import open_bundle\n"
        "engine.import_readers()\n"
        "network = engine.Engine(open_bundle(Path(sys.argv[1])))\n"
        "assert network.open('CPU').passed\n"
        "(document,), _ = documents.open_documents([Path(sys.argv[2])])\n"
        "read = documents.Studies().read(document, 0, network.intensity)\n"
        "assert network.segment(read.image).probabilities.size\n"
        "heavy = {'monai', 'transformers', 'lightning'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    command = [sys.executable, "-c", program, str(desktop_folder), str(sample_images("polyp")[0])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
