"""A copy of Chromium's folder in which Mesa's lavapipe takes the place of the software adapter: see half_adapter.c."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

DRIVER = Path(__file__).with_name("half_adapter.c")
DESCRIPTIONS = Path("/usr/share/vulkan/icd.d")
ADAPTER = "libvk_swiftshader.so"
"""What Dawn opens, beside the browser's program."""
GRAPHICS = "vk_swiftshader_icd.json"
"""Where ANGLE, which draws the page, finds the same; it goes on with the original."""


def lavapipe() -> Path | None:
    """Mesa's software driver, or None."""
    for description in sorted(DESCRIPTIONS.glob("lvp_icd*.json")):
        library = Path(json.loads(description.read_text(encoding="utf-8"))["ICD"]["library_path"])
        if library.is_file():
            return library
    return None


def browser_folder(program: str) -> Path | None:
    """The folder with Chromium's real program, where it is laid out as in Debian's package."""
    for folder in (Path(program).resolve().parent, Path("/usr/lib/chromium")):
        if (folder / ADAPTER).is_file() and (folder / "chromium").is_file():
            return folder
    return None


def half_adapter_browser(program: str, folder: Path) -> Path | str:
    """Chromium's program in a new folder, or in words what is missing here."""
    driver, original, compiler = lavapipe(), browser_folder(program), shutil.which("cc") or shutil.which("gcc")
    if driver is None:
        return "no Mesa driver lavapipe (Debian: apt install mesa-vulkan-drivers)"
    if original is None:
        return f"{program} is not laid out as Debian's Chromium"
    if compiler is None:
        return "no C compiler (Debian: apt install gcc)"
    folder.mkdir()
    for entry in original.iterdir():
        if entry.name not in ("chromium", ADAPTER, GRAPHICS):
            (folder / entry.name).symlink_to(entry)
    copy = folder / "chromium"  # the program finds the others beside itself, wherever links lead
    try:
        os.link(original / "chromium", copy)
    except OSError:  # another file system, or not our file
        shutil.copy2(original / "chromium", copy)
    description = json.loads((original / GRAPHICS).read_text(encoding="utf-8"))
    description["ICD"]["library_path"] = str(original / ADAPTER)
    (folder / GRAPHICS).write_text(json.dumps(description), encoding="utf-8")
    options = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-fvisibility=hidden"]
    command = [compiler, *options, f'-DLAVAPIPE="{driver}"', "-o", str(folder / ADAPTER), str(DRIVER), "-ldl"]
    subprocess.run(command, check=True, capture_output=True)
    return copy
