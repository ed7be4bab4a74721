"""What the machine is, in one line."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from s2m_edge.targets.registry import find_target
from s2m_edge.versions import installed_version

_CPU_INFO = Path("/proc/cpuinfo")
_CPU_KEYS = ("model name", "Hardware", "Model")  # x86; Arm boards' kernels have one of the other two, or none


def processor_name() -> str:
    """The processor's name as the system gives it."""
    if sys.platform == "darwin":
        found = subprocess.run(["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True)
        if found.stdout.strip():
            return found.stdout.strip()
    if _CPU_INFO.is_file():
        lines = _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
        pairs = [line.partition(":") for line in reversed(lines)]  # of several processors the first
        entries = {key.strip(): value.strip() for key, _, value in pairs}
        for key in _CPU_KEYS:
            if entries.get(key):
                return entries[key]
    return platform.processor() or platform.machine()


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def backend_versions(targets: Iterable[str]) -> dict[str, str]:
    """Versions of s2m-edge, torch and the backends of the named targets."""
    distributions = [find_target(name).distribution for name in dict.fromkeys(targets)]
    found = {name: installed_version(name) for name in ("s2m-edge", "torch", *distributions)}
    return {name: version for name, version in found.items() if version is not None}


def machine_line(processor: str, system: str, threads: int, versions: dict[str, str]) -> str:
    """For instance "AMD EPYC, Linux x86_64, 2 threads; torch 2.13.0, openvino 2026.4.1"."""
    count = f"{threads} thread{'s' if threads > 1 else ''}"
    return f"{processor}, {system}, {count}; {', '.join(f'{name} {version}' for name, version in versions.items())}"
