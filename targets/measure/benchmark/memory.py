"""How much memory this process takes, in MiB."""

from __future__ import annotations

import sys
from pathlib import Path

MEBIBYTE = 2**20
_STATUS, _CLEAR_REFERENCES = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = "5"  # Linux: proc_pid_clear_refs(5)


def resident_memory() -> float | None:
    """The resident set now; None where the system does not say."""
    return _from_status("VmRSS")


def peak_memory() -> float | None:
    """The largest resident set since the process began, or since `reset_peak`; None where the system does not say."""
    found = _from_status("VmHWM")
    if found is not None:
        return found
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / MEBIBYTE if sys.platform == "darwin" else peak * 1024 / MEBIBYTE


def peak_and_resident_memory() -> tuple[float | None, float | None]:
    """Both at one moment, so that the peak is never below what is resident: a page may arrive between two questions."""
    lines = _status()
    peak, resident = _figure(lines, "VmHWM"), _figure(lines, "VmRSS")
    return (peak_memory(), resident) if peak is None else (peak, resident)


def reset_peak() -> bool:
    """Let the peak begin anew at the present resident set; whether the system could."""
    try:
        _CLEAR_REFERENCES.write_text(_RESET_PEAK)
    except OSError:
        return False
    return True


def _from_status(key: str) -> float | None:
    return _figure(_status(), key)


def _status() -> list[str]:
    try:
        return _STATUS.read_text().splitlines()
    except OSError:
        return []


def _figure(lines: list[str], key: str) -> float | None:
    return next((int(line.split()[1]) * 1024 / MEBIBYTE for line in lines if line.startswith(f"{key}:")), None)
