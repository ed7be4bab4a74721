"""Importing the LiteRT converter and its runtime without what they print."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from types import ModuleType

from s2m_edge.targets.quiet import quiet_native


@contextlib.contextmanager
def quiet_litert() -> Iterator[None]:
    """Nothing on the terminal inside: absl, MLIR and the runtime write to descriptor 2, the converter to stdout too."""
    with quiet_native(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def import_converter() -> ModuleType:
    """The package `litert_torch`, with this target's operators known to it."""
    with quiet_litert():
        import litert_torch

        from s2m_edge.targets.litert.operators import register_lowerings

        litert_torch.config.show_progress = False
        register_lowerings()
    return litert_torch


def import_interpreter() -> ModuleType:
    """The module `ai_edge_litert.interpreter`."""
    with quiet_litert():
        from ai_edge_litert import interpreter
    return interpreter


def import_schema() -> ModuleType:
    """The classes of the .tflite flatbuffer's schema."""
    from ai_edge_litert import schema_py_generated

    return schema_py_generated
