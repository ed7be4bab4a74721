"""What the machine is, in one line."""

from __future__ import annotations

from collections.abc import Iterable

from s2m_edge.targets.registry import find_target
from s2m_edge.versions import installed_version


def backend_versions(targets: Iterable[str]) -> dict[str, str]:
    """Versions of s2m-edge, torch and the backends of the named targets."""
    distributions = [find_target(name).distribution for name in dict.fromkeys(targets)]
    found = {name: installed_version(name) for name in ("s2m-edge", "torch", *distributions)}
    return {name: version for name, version in found.items() if version is not None}


def machine_line(processor: str, features: str, system: str, threads: int, versions: dict[str, str]) -> str:
    """For instance "AMD EPYC (avx2), Linux x86_64, 2 threads; torch 2.13.0, openvino 2026.4.1"."""
    count = f"{threads} thread{'s' if threads > 1 else ''}"
    names = ", ".join(f"{name} {version}" for name, version in versions.items())
    return f"{processor} (instruction sets: {features}), {system}, {count}; {names}"
