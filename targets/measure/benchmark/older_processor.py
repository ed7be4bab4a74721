"""An older processor for one process, where Linux can trap CPUID; see csrc/older_processor.cpp."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from pathlib import Path

from s2m_edge.errors import NativeBuildError
from s2m_edge.native import NativeLibrary, build_library
from s2m_edge.processor import WITHOUT, processor_flags
from s2m_edge.targets.measure.benchmark.instruction_sets import InstructionSet

LIBRARY = NativeLibrary(
    name="s2m_edge_older_processor",
    source=Path(__file__).resolve().parent / "csrc",
    remedy="Install a C++17 compiler and CMake (Debian: apt install g++ cmake).",
)


def can_trap() -> bool:
    """Whether this system can answer for the processor: x86-64 Linux on a processor that lets CPUID be trapped."""
    flags = processor_flags().split()
    return sys.platform == "linux" and platform.machine() == "x86_64" and "cpuid_fault" in flags


def older_environment(limit: InstructionSet) -> dict[str, str]:
    """Variables for a new process that finds the processor without what is beyond `limit`; none where that cannot be.

    Builds the library where it is not there yet (seconds, once).
    """
    if not can_trap():
        return {}
    try:
        library = build_library(LIBRARY)
    except NativeBuildError:  # the variables that some runtimes heed are left, and rows say who heeds none
        return {}
    before = os.environ.get("LD_PRELOAD", "")  # an allocator, say
    return {"LD_PRELOAD": f"{library} {before}".strip(), WITHOUT: " ".join(limit.without)}


def still_seen(names: list[str]) -> list[str] | None:
    """Those of the features that this process finds although they are to be hidden; None where nothing is trapped.

    Args:
        names: of the limit, in Linux's words.
    """
    try:
        sees = ctypes.CDLL(None).s2m_edge_sees_feature
    except AttributeError:
        return None
    found = {name: int(sees(name.encode())) for name in names}
    return None if -1 in found.values() else [name for name, seen in found.items() if seen]
