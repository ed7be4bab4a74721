"""What `s2m-edge demo desktop` does: find or export the bundle, open the window."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from s2m_edge.deploy.precision import Precision, SpectralLowering
from s2m_edge.errors import CapabilityError, ContractError, MissingBackendError
from s2m_edge.installation import install_command

TARGET = "openvino"


def run_desktop_demo(
    *,
    images: Sequence[Path],
    bundle: Path | None,
    checkpoint: Path | None,
    precision: Precision,
    spectral: SpectralLowering | None,
    device: str,
    exports: Path,
) -> int:
    """Open the window and wait for its end.

    Args:
        images: files and folders to open.
        bundle: of the target openvino; that of the checkpoint, exported where need be, if left out.
        device: of OpenVINO.

    Returns:
        The exit code.

    Raises:
        MissingBackendError: PySide6 is not installed. CapabilityError: there is no such device, or no screen.
        S2MEdgeError: whatever else stands in the way; see the called functions.
    """
    if importlib.util.find_spec("PySide6") is None:
        raise MissingBackendError(
            "the desktop app needs PySide6, which is not installed", f"Install it with: {install_command('desktop')}."
        )
    require_screen()
    from s2m_edge import console
    from s2m_edge.apps.prepare import find_or_export_bundle
    from s2m_edge.deploy.bundle import open_bundle
    from s2m_edge.targets.registry import find_target

    find_target(TARGET).require_backend()
    if bundle is not None:
        opened = open_bundle(bundle)
        if opened.contract.target != TARGET:
            raise ContractError(
                f"{bundle} is of the target {opened.contract.target}, and the app runs {TARGET} bundles",
                f"Make one with s2m-edge export --target {TARGET}.",
            )
    else:
        with console.progress_bar("demo desktop") as update:
            opened = find_or_export_bundle(
                TARGET, checkpoint, precision, spectral=spectral, folder=exports, notify=update
            )
    from s2m_edge.apps.desktop.engine import list_devices

    names = [entry.name for entry in list_devices()]
    if device not in names:
        raise CapabilityError(f"OpenVINO finds no device {device!r} here", f"Choose --device {', '.join(names)}.")

    from PySide6.QtCore import QTimer
    from PySide6.QtWidgets import QApplication

    from s2m_edge.apps.desktop.style import apply_style
    from s2m_edge.apps.desktop.window import MainWindow

    application = QApplication(sys.argv[:1])
    application.setApplicationName("Segmentation")
    apply_style(application)
    window = MainWindow(opened, device)
    window.open_paths(list(images))
    window.show()
    # Qt's loop runs no Python by itself: a timer lets Ctrl-C in the terminal through.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: window.close())
    timer = QTimer()
    timer.timeout.connect(lambda: None)
    timer.start(200)
    return application.exec()


def require_screen() -> None:
    """Raise where no window can be shown here: Qt would end the process.

    Raises:
        CapabilityError: there is no display. MissingBackendError: a library of the display's plugin is missing.
    """
    from s2m_edge.apps.desktop.qt import debian_command, has_display, missing_libraries

    if not has_display():
        raise CapabilityError("there is no display here", "Run it in a desktop session, or use s2m-edge predict.")
    usual = "wayland" if os.environ.get("WAYLAND_DISPLAY") else "xcb"
    plugin = os.environ.get("QT_QPA_PLATFORM", "").partition(":")[0] or usual
    missing = missing_libraries([plugin])
    if missing:
        raise MissingBackendError(f"Qt lacks {', '.join(missing)} here", f"On Debian: {debian_command(missing)}.")
