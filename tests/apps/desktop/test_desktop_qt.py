"""Whether Qt starts here, and the packages that get what it lacks."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from command_line import Run
from s2m_edge.apps.desktop import qt
from s2m_edge.apps.desktop.command import require_screen
from s2m_edge.errors import CapabilityError, MissingBackendError

pytest.importorskip("PySide6")

README = Path(__file__).parents[3] / "apps" / "desktop" / "README.md"
EVERYWHERE = {"libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "libstdc++.so.6", "libgcc_s.so.1", "libz.so.1"}
on_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="these are libraries of Linux")


@pytest.fixture
def two_libraries_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An ldd that finds two libraries of the plugin xcb missing, one of them twice and one that no table knows."""
    program = tmp_path / "ldd"
    lines = ("libxcb-icccm.so.4 => not found", "libc.so.6 => /lib/libc.so.6 (0x0)", "libnew.so.9 => not found")
    printed = "\\n".join(f"\\t{line}" for line in (*lines, lines[0]))
    program.write_text(f'#!/bin/sh\ncase "$*" in *libqxcb*) printf "{printed}\\n" ;; esac\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)


@on_linux
def test_the_table_knows_every_library_that_the_plugins_link():
    if shutil.which("objdump") is None:
        pytest.skip("no objdump here")
    import PySide6

    folder = Path(PySide6.__file__).parent / "Qt"
    ours = {path.name for path in (folder / "lib").iterdir()}
    plugins = [folder / "plugins" / "platforms" / f"libq{name}.so" for name in (qt.OFFSCREEN, *qt.WINDOWS)]
    core = [folder / "lib" / f"libQt6{name}.so.6" for name in ("Core", "Gui", "Widgets", "DBus", "XcbQpa")]
    printed = subprocess.run(["objdump", "-p", *plugins, *core], capture_output=True, text=True, check=True).stdout
    linked = set(re.findall(r"NEEDED +(\S+)", printed))
    outside = {name for name in linked - ours - EVERYWHERE if not name.startswith("ld-linux")}
    assert len(outside) > 20
    assert outside - set(qt.LIBRARIES) == set()


def test_the_readme_names_every_package():
    (listed,) = re.findall(r"^apt install (.*?)^```$", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert sorted(listed.replace("\\", "").split()) == sorted(set(qt.LIBRARIES.values()))


@on_linux
def test_a_missing_library_is_named_with_its_package(two_libraries_missing: None):
    missing = qt.missing_libraries(qt.WINDOWS)
    assert missing == ("libnew.so.9", "libxcb-icccm.so.4")
    assert qt.debian_command(missing) == "apt install libxcb-icccm4; find the packages with libnew.so.9"
    assert qt.missing_libraries([qt.OFFSCREEN]) == ()
    assert qt.debian_command(()) == ""


@on_linux
def test_the_app_says_what_to_install_before_qt_ends_the_process(
    two_libraries_missing: None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    require_screen()
    monkeypatch.setenv("QT_QPA_PLATFORM", "xcb")
    with pytest.raises(MissingBackendError, match="apt install libxcb-icccm4"):
        require_screen()
    for name in ("QT_QPA_PLATFORM", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(CapabilityError, match="no display"):
        require_screen()


@on_linux
def test_doctor_starts_qt_offscreen_and_on_the_display_there_is(run: Run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("QT_QPA_PLATFORM", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", ":77")  # where nobody listens
    offscreen, display = json.loads(run("doctor", "--json")[1])["desktop"]
    assert (offscreen["platform"], display["platform"]) == ("offscreen", "display")
    assert offscreen["starts"] is (offscreen["said"] == "")
    assert display["starts"] is False
    assert display["said"]
    assert display["remedy"]
    monkeypatch.delenv("DISPLAY")
    printed = run("doctor")[1]
    assert "Qt, offscreen starts" in printed
    assert "not tried: there is no display here" in printed
