"""Fixtures: the desktop app's window without a screen, on a small bundle."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from once import once
from s2m_edge.checkpoint import network_spec, read_header
from s2m_edge.deploy.bundle import Bundle, open_bundle
from s2m_edge.imaging.overlay import FILL_OPACITY
from s2m_edge.network.model import S2MNet
from s2m_edge.samples import sample_images
from s2m_edge.targets.export import export_bundle
from s2m_edge.targets.registry import find_target

os.environ["QT_QPA_PLATFORM"] = "offscreen"


@pytest.fixture(scope="session")
def application() -> Any:
    """The one QApplication of this process."""
    pytest.importorskip(
        "PySide6.QtWidgets", reason="PySide6, or a library that it needs, is missing", exc_type=ImportError
    )
    from PySide6.QtWidgets import QApplication

    from s2m_edge.apps.desktop.style import apply_style

    found = QApplication.instance() or QApplication([])
    assert isinstance(found, QApplication)
    apply_style(found)
    return found


@pytest.fixture(scope="session")
def desktop_folder(small_checkpoint: Path, small_model: S2MNet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An OpenVINO bundle at 96 x 96."""
    pytest.importorskip("openvino")

    def export(place: Path) -> Path:
        export_bundle(
            find_target("openvino"),
            small_model,
            network_spec(read_header(small_checkpoint)),
            precision="float32",
            spectral="matmul",
            images=sample_images("polyp"),
            out=place,
        )
        return place

    return once(tmp_path_factory, "desktop/small", export)


USUAL = ("png", "nifti")
"""Formats that are ticked at the start."""


@pytest.fixture
def desktop_bundle(desktop_folder: Path) -> Bundle:
    return open_bundle(desktop_folder)


Until = Callable[[Callable[[], object]], None]


def what_happens(application: Any) -> str:
    """What every window says, and what every thread is at."""
    windows = [
        (
            type(widget).__name__,
            widget.message.text(),
            [widget.queue.list.item(row).text() for row in range(widget.queue.list.count())],
        )
        for widget in application.topLevelWidgets()
        if hasattr(widget, "message")
    ]
    threads = ["".join(traceback.format_stack(frame, limit=8)) for frame in sys._current_frames().values()]
    return "\n".join((str(windows), *threads))


@pytest.fixture(scope="session")
def until(application: Any) -> Until:
    """Runs the window's events until something holds. QTest.qWait would keep Python's lock, which the worker then gets
    for a moment every 10 ms: its files were read in seconds."""

    def wait(condition: Callable[[], object], seconds: float = 300) -> None:
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                pytest.fail(f"it did not come about\n{what_happens(application)}")
            application.processEvents()
            time.sleep(0.005)

    return wait


@pytest.fixture
def open_window(application: Any, until: Until) -> Iterator[Callable[[Bundle], Any]]:
    """Opens windows; they are closed afterwards."""
    from s2m_edge.apps.desktop.window import MainWindow

    opened: list[MainWindow] = []

    def make(bundle: Bundle) -> MainWindow:
        window = MainWindow(bundle)
        opened.append(window)
        window.show()
        until(lambda: window.opened is not None)
        return window

    yield make
    for window in opened:
        window.close()


@pytest.fixture(scope="session")
def shared_window(application: Any, until: Until, desktop_folder: Path) -> Iterator[Any]:
    """One window on the small bundle: to open the network and test it takes longer than most tests."""
    from s2m_edge.apps.desktop.window import MainWindow

    window = MainWindow(open_bundle(desktop_folder))
    window.show()
    until(lambda: window.opened is not None)
    yield window
    window.close()


@pytest.fixture
def window(shared_window: Any, until: Until) -> Iterator[Any]:
    """The window with nothing open, and all controls as they are at the start."""
    shared_window.activateWindow()  # which another one may have been since; keys go to the active one
    until(shared_window.isActiveWindow)
    yield shared_window
    until(lambda: not shared_window.busy)
    shared_window.clear()
    controls = shared_window.controls
    if controls.device.currentData() != "CPU":
        controls.device.setCurrentIndex(controls.device.findData("CPU"))
        until(lambda: shared_window.opened is not None)
    controls.reset.click()
    controls.opacity.setValue(round(100 * FILL_OPACITY))
    controls.overlay_style.setCurrentIndex(0)
    controls.shown.setChecked(True)
    for name, box in shared_window.queue.formats.boxes.items():
        box.setChecked(name in USUAL)
    shared_window.message.setText("")
    shared_window.resize(1280, 800)
