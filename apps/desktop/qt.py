"""Whether Qt starts on this machine, and the Debian packages with the libraries that it lacks."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

OFFSCREEN = "offscreen"
WINDOWS = ("xcb", "wayland")
"""Qt's plugins that show windows on Linux."""

LIBRARIES = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libX11-xcb.so.1": "libx11-xcb1",
    "libX11.so.6": "libx11-6",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libfreetype.so.6": "libfreetype6",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libwayland-client.so.0": "libwayland-client0",
    "libwayland-cursor.so.0": "libwayland-cursor0",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-randr.so.0": "libxcb-randr0",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-render.so.0": "libxcb-render0",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxcb-shm.so.0": "libxcb-shm0",
    "libxcb-sync.so.1": "libxcb-sync1",
    "libxcb-util.so.1": "libxcb-util1",
    "libxcb-xfixes.so.0": "libxcb-xfixes0",
    "libxcb-xkb.so.1": "libxcb-xkb1",
    "libxcb.so.1": "libxcb1",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libzstd.so.1": "libzstd1",
}
"""What Qt 6's core and these plugins link beyond a Debian without a desktop, and the package (Debian 12) of each."""

START = "import sys; from PySide6.QtWidgets import QApplication; QApplication(sys.argv[:1])"
MOST_SECONDS = 60


@dataclass(frozen=True)
class QtStart:
    """Whether Qt starts on one platform.

    Attributes:
        platform: `offscreen`, or `display` for the one there is.
        starts: None: there is no display to try.
        said: the first line that Qt said where it does not start.
        missing: shared libraries that the platform's plugins lack here.
        remedy: what to do about it; "" where nothing is to do.
    """

    platform: str
    starts: bool | None
    said: str
    missing: tuple[str, ...]
    remedy: str


def has_display() -> bool:
    """Whether a window could be shown: always where Qt talks to the system itself."""
    shown = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    return not sys.platform.startswith("linux") or any(os.environ.get(name) for name in shown)


def qt_starts() -> list[QtStart]:
    """Start Qt offscreen and on the display there is, each in a process of its own: it ends one where it cannot."""
    display = _start("display", WINDOWS, None) if has_display() else _without_display()
    return [_start(OFFSCREEN, (OFFSCREEN,), OFFSCREEN), display]


def missing_libraries(plugins: Sequence[str]) -> tuple[str, ...]:
    """Shared libraries that these of Qt's platform plugins lack here, found by ldd; none where there is no ldd."""
    specification = importlib.util.find_spec("PySide6")
    program = shutil.which("ldd")
    if specification is None or specification.origin is None or program is None:
        return ()
    folder = Path(specification.origin).parent / "Qt" / "plugins" / "platforms"
    paths = [str(path) for name in plugins if (path := folder / f"libq{name}.so").is_file()]
    if not paths:
        return ()
    printed = subprocess.run([program, *paths], capture_output=True, text=True, errors="replace", check=False).stdout
    lines = [line.split() for line in printed.splitlines() if line.endswith("=> not found")]
    return tuple(sorted({words[0] for words in lines}))


def debian_command(missing: Sequence[str]) -> str:
    """How Debian and Ubuntu get these libraries; one that the table does not know is named as it is."""
    packages = sorted({LIBRARIES[name] for name in missing if name in LIBRARIES})
    unknown = [name for name in missing if name not in LIBRARIES]
    parts = [f"apt install {' '.join(packages)}"] if packages else []
    return "; ".join([*parts, *([f"find the packages with {', '.join(unknown)}"] if unknown else [])])


def _without_display() -> QtStart:
    missing = missing_libraries(WINDOWS)
    return QtStart("display", None, "", missing, debian_command(missing))


def _start(platform: str, plugins: Sequence[str], asked: str | None) -> QtStart:
    environment = {**os.environ, "QT_QPA_PLATFORM": asked} if asked else dict(os.environ)
    try:
        done = subprocess.run(
            [sys.executable, "-c", START],
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=MOST_SECONDS,
            check=False,
        )
        starts, said = done.returncode == 0, done.stderr.strip()
    except subprocess.TimeoutExpired:
        starts, said = False, f"it had not started after {MOST_SECONDS} seconds"
    missing = missing_libraries(plugins)
    remedy = debian_command(missing)
    if not starts and not remedy:
        remedy = "Run it in a desktop session." if platform == "display" else "Install it again."
    return QtStart(platform, starts, "" if starts else (said.splitlines() or ["it said nothing"])[0], missing, remedy)
