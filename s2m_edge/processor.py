"""What the processor is, and which of its instruction sets matter to the runtimes: found here, and nowhere else."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from functools import cache
from pathlib import Path

_CPU_INFO = Path("/proc/cpuinfo")
_NAME_KEYS = ("model name", "Hardware", "Model")  # x86; Arm boards' kernels have one of the other two, or none
_FLAG_KEYS = ("flags", "Features")  # x86 and Arm

FEATURES = (
    *("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_tile", "amx_bf16", "amx_int8"),  # x86
    *("asimd", "dotprod", "i8mm", "sve", "bf16"),  # Arm
)
"""Instruction sets that the runtimes have kernels for, in the order in which they are shown."""

BFLOAT16_FEATURES = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""Those with which bfloat16 is computed, and not emulated."""

WITHOUT = "S2M_EDGE_WITHOUT_FEATURES"
"""Variable of the environment: features that this process does without, in the system's words, with spaces between. Set
where CPUID says the same (targets/measure/benchmark/older_processor.py)."""

_LINUX_NAMES = {"dotprod": "asimddp"}
"""Where Linux calls a feature otherwise."""

_DARWIN_KEYS = {
    "avx2": "hw.optional.avx2_0",
    "avx512f": "hw.optional.avx512f",
    "asimd": "hw.optional.AdvSIMD",
    "dotprod": "hw.optional.arm.FEAT_DotProd",
    "i8mm": "hw.optional.arm.FEAT_I8MM",
    "bf16": "hw.optional.arm.FEAT_BF16",
}
"""macOS's sysctl of a feature: 1 where there is one."""


@cache
def processor_name() -> str:
    """The processor's name as the system gives it."""
    if sys.platform == "darwin":
        found = _sysctl("-n", "machdep.cpu.brand_string").strip()
        if found:
            return found
    entries = _cpu_info()
    found = next((entries[key] for key in _NAME_KEYS if entries.get(key)), "")
    return found or platform.processor() or platform.machine()


@cache
def processor_features() -> frozenset[str]:
    """Those of `FEATURES` that the processor has; none where the system does not say (see `features_known`)."""
    return _read_features() or frozenset()


@cache
def features_known() -> bool:
    """Whether the system says what the processor has: Linux and macOS do."""
    return _read_features() is not None


def features_text(features: frozenset[str] | None = None) -> str:
    """For people, for instance "avx2 avx512f"; this processor's where none are given.

    "unknown" where the system does not say, and "none of" the list where it has none.
    """
    if features is None:
        if not features_known():
            return "unknown"
        features = processor_features()
    return " ".join(name for name in FEATURES if name in features) or f"none of {' '.join(FEATURES)}"


def processor_flags() -> str:
    """All that Linux says of the first processor's instruction sets, in its own words; empty elsewhere."""
    entries, hidden = _cpu_info(), os.environ.get(WITHOUT, "").split()
    found = next((entries[key] for key in _FLAG_KEYS if key in entries), "")
    return " ".join(name for name in found.split() if name not in hidden) if hidden else found


def _read_features() -> frozenset[str] | None:
    """The features; None where the system does not say."""
    flags = set(processor_flags().split())
    if flags:
        return frozenset(name for name in FEATURES if _LINUX_NAMES.get(name, name) in flags)
    if sys.platform != "darwin":
        return None
    lines = [line.partition(":") for line in _sysctl(*_DARWIN_KEYS.values()).splitlines()]
    present = {key.strip() for key, _, value in lines if value.strip() == "1"}
    return frozenset(name for name, key in _DARWIN_KEYS.items() if key in present) if lines else None


def _cpu_info() -> dict[str, str]:
    """Linux's words of the first processor; none elsewhere."""
    try:
        lines = _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    pairs = [line.partition(":") for line in reversed(lines)]  # of several processors the first
    return {key.strip(): value.strip() for key, _, value in pairs}


def _sysctl(*arguments: str) -> str:
    """What macOS's sysctl says; keys that it does not know are left out."""
    try:
        return subprocess.run(["sysctl", *arguments], capture_output=True, text=True, check=False).stdout
    except OSError:
        return ""
