"""Importing OpenVINO without its telemetry."""

from __future__ import annotations

import sys
from types import ModuleType

_TELEMETRY = "openvino_telemetry"


def import_openvino() -> ModuleType:
    """The `openvino` package.

    OpenVINO's Python package reports its import and every conversion to Google Analytics unless the user has opted
    out. People who handle medical pictures have not agreed to that, so the reporting package is made to look absent
    while OpenVINO is imported; OpenVINO then uses its own stub. A process that imported OpenVINO before keeps what
    it had.
    """
    if "openvino" not in sys.modules and _TELEMETRY not in sys.modules:
        sys.modules[_TELEMETRY] = None  # type: ignore[assignment]  # makes `import openvino_telemetry` raise
        try:
            import openvino
        finally:
            del sys.modules[_TELEMETRY]
        return openvino
    import openvino

    return openvino
