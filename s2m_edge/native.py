"""Building the native kernels: CMake against the installed wheels, once per version, into the user's cache.

A library's key is a hash of its sources, of the packages that it is built against and of the processor, so that an
upgrade of any of them builds anew and nothing stale is ever loaded. A wheel or an administrator may put the same
libraries, built elsewhere, into the package's folder `prebuilt` or into `S2M_EDGE_PREBUILT`.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from s2m_edge.errors import NativeBuildError, OutputError
from s2m_edge.files import FolderKind, exactly, publish_folder, refusal, require_writable, staged_folder
from s2m_edge.processor import processor_flags

KERNEL_FOLDER = Path(__file__).resolve().parent / "network" / "spectral" / "csrc"
"""Where the spectral filter's header lies; every library includes it."""

RECEPTIVE_FIELD_FOLDER = Path(__file__).resolve().parent / "network" / "receptive_field" / "csrc"
"""Where the header of the MRF-SE block lies, which builds on the spectral filter's vectors."""

_PREBUILT = Path(__file__).resolve().parent / "prebuilt"
_SOURCES = ("CMakeLists.txt", "*.cpp", "*.hpp", "*.h", "*.cmake")
BUILD_REMEDY = (
    "Install a C++17 compiler and CMake (Debian: apt install g++ cmake), or use --spectral matmul, which needs none."
)
CACHE_PLACE = "name another folder with S2M_EDGE_CACHE"
_BUILD_BYTES = 8 * 2**20
"""What a build needs at the very least."""


@dataclass(frozen=True)
class NativeLibrary:
    """One shared library and what it is built from.

    Attributes:
        name: CMake's target, and the file's stem: lib<name>.so.
        source: folder with a CMakeLists.txt.
        versions: distribution to version of every package that it is built against.
        definitions: CMake variables, for instance a wheel's CMake folder.
        kind: "library", or "program" for an executable.
        includes: further folders whose files it is built from.
        remedy: what to do where it cannot be built.
    """

    name: str
    source: Path
    versions: Mapping[str, str] = field(default_factory=dict)
    definitions: Mapping[str, str] = field(default_factory=dict)
    kind: str = "library"
    includes: tuple[Path, ...] = ()
    remedy: str = BUILD_REMEDY

    @property
    def title(self) -> str:
        """What errors call it."""
        return f"the {'program' if self.kind == 'program' else 'native kernel'} {self.name}"

    @property
    def file_name(self) -> str:
        if self.kind == "program":
            return f"{self.name}.exe" if os.name == "nt" else self.name
        return {"win32": f"{self.name}.dll", "darwin": f"lib{self.name}.dylib"}.get(sys.platform, f"lib{self.name}.so")


def cache_folder() -> Path:
    """Where built libraries are kept: $S2M_EDGE_CACHE, else the system's cache folder."""
    chosen = os.environ.get("S2M_EDGE_CACHE")
    if chosen:
        return Path(chosen)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "s2m-edge"
    if os.name == "nt":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "s2m-edge"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "s2m-edge"


def find_compiler() -> str | None:
    """Path of the C++ compiler: $CXX, else c++, g++ or clang++ (cl on Windows)."""
    names = [os.environ.get("CXX"), *(("cl",) if os.name == "nt" else ("c++", "g++", "clang++"))]
    return next((found for name in names if name and (found := shutil.which(name))), None)


def find_cmake() -> str | None:
    """Path of CMake; pip's own (`pip install cmake`) stands beside the interpreter."""
    return shutil.which("cmake") or shutil.which("cmake", path=str(Path(sys.executable).parent))


def find_library(library: NativeLibrary) -> Path | None:
    """The library's file where it is prebuilt or cached, else None; builds nothing."""
    name = f"{library.name}-{library_key(library)}"
    files = (folder / name / library.file_name for folder in (*_prebuilt_folders(), cache_folder() / "native"))
    return next((file for file in files if file.is_file()), None)


def require_buildable(library: NativeLibrary) -> None:
    """Raise NativeBuildError unless the library is there, or can be built and kept; builds nothing."""
    if find_library(library) is not None:
        return
    lacking = "C++ compiler" if find_compiler() is None else "CMake" if find_cmake() is None else ""
    if lacking:
        raise NativeBuildError(
            f"the native kernel {library.name} cannot be built: there is no {lacking} here", BUILD_REMEDY
        )
    folder = cache_folder() / "native"
    try:
        require_writable(folder)
    except OutputError as error:
        raise _cache_error(library, error.cause) from None
    _require_room(library, folder)


def build_library(library: NativeLibrary) -> Path:
    """The library's file: prebuilt, cached, or built now.

    Raises:
        NativeBuildError: no compiler or no CMake is there, the build fails, or the cache cannot be written; the message
            names the first error.
    """
    found = find_library(library)
    if found is not None:
        return found
    compiler, cmake = library.definitions.get("CMAKE_CXX_COMPILER") or find_compiler(), find_cmake()
    if compiler is None or cmake is None:
        lacking = "C++ compiler" if compiler is None else "CMake"
        raise NativeBuildError(f"{library.title} cannot be built: there is no {lacking} here", library.remedy)
    final = cache_folder() / "native" / f"{library.name}-{library_key(library)}"
    kind = FolderKind("a built library", lambda folder: [exactly(library.file_name)], CACHE_PLACE)
    try:
        with staged_folder(final, kind) as stage:
            built = _compile(library, compiler, cmake, stage / "build")
            keep = stage / "keep"
            keep.mkdir()
            shutil.copy2(built, keep / library.file_name)
            if not (final / library.file_name).is_file():  # another process may have been first; its file is the same
                publish_folder(keep, final, kind)
    except OutputError as error:
        raise _cache_error(library, error.cause) from None
    return final / library.file_name


def _cache_error(library: NativeLibrary, cause: str) -> NativeBuildError:
    return NativeBuildError(
        f"{library.title} cannot be built: {cause}", f"See that it can be written to, or {CACHE_PLACE}."
    )


def _require_room(library: NativeLibrary, folder: Path) -> None:
    """Raise NativeBuildError where the cache's `folder`, or that for temporary files, takes no more: a compiler says so
    in many ways."""
    for full, place in ((folder, CACHE_PLACE), (Path(tempfile.gettempdir()), "name another one with TMPDIR")):
        refused = refusal(full, _BUILD_BYTES)
        if refused is not None:
            raise NativeBuildError(
                f"{library.title} cannot be built: {full} takes no more ({refused.strerror})",
                f"Make room there, or {place}.",
            )


def library_key(library: NativeLibrary) -> str:
    """Hash over everything that the built file depends on, 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for folder in (KERNEL_FOLDER, library.source, *library.includes):
        for path in sorted({path for pattern in _SOURCES for path in folder.glob(pattern)}):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    facts = [dict(sorted(library.versions.items())), library.kind, *_machine()]
    if library.kind == "program":  # it looks for the wheel's libraries where they were when it was built
        facts.append(dict(sorted(library.definitions.items())))
    digest.update(json.dumps(facts).encode())
    return digest.hexdigest()[:16]


def _prebuilt_folders() -> tuple[Path, ...]:
    named = os.environ.get("S2M_EDGE_PREBUILT")
    return (Path(named), _PREBUILT) if named else (_PREBUILT,)


@lru_cache(maxsize=1)
def _machine() -> tuple[str, ...]:
    """What the code may be compiled for: system, architecture, and the processor's instruction sets."""
    return platform.system(), platform.machine(), hashlib.sha256(processor_flags().encode()).hexdigest()[:16]


def _compile(library: NativeLibrary, compiler: str, cmake: str, folder: Path) -> Path:
    definitions = {
        "CMAKE_BUILD_TYPE": "Release",
        "CMAKE_CXX_COMPILER": compiler,
        "S2M_EDGE_KERNEL_FOLDER": str(KERNEL_FOLDER),
        **library.definitions,
    }
    options = [f"-D{name}={value}" for name, value in definitions.items()]
    _run([cmake, "-S", str(library.source), "-B", str(folder), *options], library, folder.parent)
    build = [cmake, "--build", str(folder), "--config", "Release", "--target", library.name, "--parallel", "2"]
    _run(build, library, folder.parent)
    found = next(iter(sorted(folder.rglob(library.file_name))), None)
    if found is None:
        raise NativeBuildError(f"the build of {library.name} left no {library.file_name}", library.remedy)
    return found


def _run(command: list[str], library: NativeLibrary, folder: Path) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    except OSError as error:
        raise NativeBuildError(f"{command[0]} cannot be run ({error.strerror})", library.remedy) from None
    if done.returncode:
        _require_room(library, folder)  # a full disk is no fault of the compiler
        lines = [line.strip() for line in (done.stdout + "\n" + done.stderr).splitlines() if line.strip()]
        reason = next((line for line in lines if "error" in line.lower()), lines[-1] if lines else "no message")
        raise NativeBuildError(f"{library.title} does not build here ({reason[:300]})", library.remedy)
