"""Building the console program: against the installed ExecuTorch wheel, or for a board against the wheel for it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from s2m_edge import __version__
from s2m_edge.errors import CapabilityError, NativeBuildError
from s2m_edge.files import FolderKind, publish_folder, staged_folder
from s2m_edge.native import CACHE_PLACE, KERNEL_FOLDER, NativeLibrary, cache_folder
from s2m_edge.targets.executorch.operator_library import (
    NATIVE_FOLDER,
    installed_wheel,
    wheel_definitions,
    wheel_versions,
)

SOURCE = Path(__file__).resolve().parent
PROGRAM, VECTORS_PROGRAM = "s2m_edge_runner", "s2m_edge_runner_vectors"
_INCLUDES = (SOURCE / "source", SOURCE / "test", SOURCE / "third_party" / "stb", NATIVE_FOLDER)
_WHEEL_PARTS = ("executorch/include/", "executorch/lib/", "executorch/share/cmake/")
_WHEEL = FolderKind("an unpacked wheel", lambda folder: [f"{part}*" for part in _WHEEL_PARTS], CACHE_PLACE)


@dataclass(frozen=True)
class CrossBuild:
    """How to build for boards of one architecture.

    Attributes:
        architecture: as `uname -m` calls it there.
        compiler: name of the cross-compiler.
        package: Debian package with it.
        platform: tag of ExecuTorch's wheel for it.
        emulator: runs programs of it here; sysroot: where its C and C++ libraries lie.
        processor: that the emulator plays, one that such boards have. Its own choice has every extension there is, and
            emulating the vector ones takes ten times as long.
    """

    architecture: str
    compiler: str
    package: str
    platform: str
    emulator: str
    sysroot: Path
    processor: str

    def emulate(self) -> tuple[str, ...]:
        """The words before a command that run it here."""
        return self.emulator, "-cpu", self.processor, "-L", str(self.sysroot)


CROSS_BUILDS = (
    CrossBuild(
        "aarch64",
        "aarch64-linux-gnu-g++",
        "g++-aarch64-linux-gnu",
        "manylinux_2_28_aarch64",
        "qemu-aarch64-static",
        Path("/usr/aarch64-linux-gnu"),
        "cortex-a72",
    ),
)


def find_cross_build(architecture: str) -> CrossBuild:
    """The row of an architecture.

    Raises:
        CapabilityError: there is none.
    """
    for row in CROSS_BUILDS:
        if row.architecture == architecture:
            return row
    names = ", ".join(row.architecture for row in CROSS_BUILDS)
    raise CapabilityError(f"there is no cross-build for {architecture!r}", f"Choose --arch {names}, or leave it out.")


def console_runner(cross: CrossBuild | None = None) -> NativeLibrary:
    """The program that segments images without Python, the spectral filter's kernel linked in.

    Args:
        cross: for another architecture; its wheel is fetched into the cache where it is not there.

    Raises:
        NativeBuildError: the wheel cannot be fetched, or there is no such compiler.
    """
    wheel = installed_wheel() if cross is None else cross_wheel(cross)
    return _program(PROGRAM, cross, wheel_definitions(wheel))


def vectors_program(cross: CrossBuild | None = None) -> NativeLibrary:
    """The program that repeats the contract's test vectors with the same sources; takes no ExecuTorch."""
    return _program(VECTORS_PROGRAM, cross, {})


def _program(name: str, cross: CrossBuild | None, definitions: dict[str, str]) -> NativeLibrary:
    definitions = {**definitions, "S2M_EDGE_REGISTRATION_FOLDER": str(NATIVE_FOLDER), "S2M_EDGE_VERSION": __version__}
    package = "g++"
    if cross is not None:
        package = cross.package
        compiler = shutil.which(cross.compiler)
        if compiler is None:
            raise NativeBuildError(f"there is no {cross.compiler} here", f"Install it (Debian: apt install {package}).")
        definitions |= {
            "CMAKE_SYSTEM_NAME": "Linux",
            "CMAKE_SYSTEM_PROCESSOR": cross.architecture,
            "CMAKE_CXX_COMPILER": compiler,
        }
    return NativeLibrary(
        name,
        SOURCE,
        wheel_versions(),
        definitions,
        kind="program",
        includes=(KERNEL_FOLDER, *_INCLUDES),
        remedy=f"Install a C++17 compiler and CMake (Debian: apt install {package} cmake).",
    )


def cross_wheel(cross: CrossBuild) -> Path:
    """The folder `executorch` of the wheel for `cross`, of the installed version; pip fetches it into the cache once.

    Raises:
        NativeBuildError: pip cannot.
        OutputError: the cache cannot be written.
    """
    version = wheel_versions()["executorch"]
    final = cache_folder() / "wheels" / f"executorch-{version}-{cross.platform}"
    if not (final / "executorch").is_dir():
        with staged_folder(final, _WHEEL) as stage:
            arguments = ("--no-deps", "--only-binary=:all:", "--platform", cross.platform, "--dest", str(stage / "pip"))
            command = (sys.executable, "-m", "pip", "download", "--quiet", *arguments, f"executorch=={version}")
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
            wheel = next(iter((stage / "pip").glob("*.whl")), None)
            if done.returncode or wheel is None:
                lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no message"]
                raise NativeBuildError(
                    f"pip cannot fetch executorch {version} for {cross.platform} ({lines[-1].strip()})",
                    "Check the network; the wheel is needed once.",
                )
            with zipfile.ZipFile(wheel) as archive:
                names = [name for name in archive.namelist() if name.startswith(_WHEEL_PARTS)]
                archive.extractall(stage / "keep", names)
            publish_folder(stage / "keep", final, _WHEEL)
    return final / "executorch"


def runtime_libraries(cross: CrossBuild | None = None) -> list[Path]:
    """The shared libraries that the program loads, of the installed wheel or of the one for `cross`."""
    wheel = installed_wheel() if cross is None else cross_wheel(cross)
    return sorted((wheel / "lib").glob("libexecutorch*"))
