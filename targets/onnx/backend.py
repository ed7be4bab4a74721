"""Importing ONNX Runtime without its telemetry."""

from __future__ import annotations

from types import ModuleType

from s2m_edge import telemetry


def import_onnxruntime() -> ModuleType:
    """The package `onnxruntime`. Everything here imports it by this function.

    A process that imported it before s2m_edge keeps what it had, but for what it would still send.
    """
    telemetry.turn_off()
    import onnxruntime

    if hasattr(onnxruntime, "disable_telemetry_events"):
        onnxruntime.disable_telemetry_events()
    return onnxruntime
