"""Our native kernels for ONNX Runtime, an option: the model's own function bodies need none.

Registered with a session, they take the place of the function body of every node of the domain s2m_edge:
SpectralFilter, ReceptiveField, ChannelNorm, QuantizedElu.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from s2m_edge.errors import NativeBuildError
from s2m_edge.native import RECEPTIVE_FIELD_FOLDER, NativeLibrary, build_library

if TYPE_CHECKING:
    import onnxruntime

SWITCH = "S2M_EDGE_ONNX_KERNEL"
"""Environment variable; 1 asks for the kernels."""

_NATIVE = Path(__file__).resolve().parent / "native"
_REMEDY = "Install a C++17 compiler and CMake (Debian: apt install g++ cmake)."


def kernel_library() -> NativeLibrary:
    """What the library is built from: our sources alone, for every ONNX Runtime from 1.17 on."""
    return NativeLibrary(
        "s2m_edge_onnxruntime",
        _NATIVE,
        definitions={"S2M_EDGE_RECEPTIVE_FIELD_FOLDER": str(RECEPTIVE_FIELD_FOLDER)},
        includes=(RECEPTIVE_FIELD_FOLDER,),
        remedy=_REMEDY,
    )


def is_asked_for() -> bool:
    """Whether the environment asks for the kernels."""
    return os.environ.get(SWITCH, "0") not in ("", "0")


def register_kernel(options: onnxruntime.SessionOptions) -> Path:
    """Have the sessions made with `options` use the kernels; builds their library where needed.

    Returns:
        The library's file.

    Raises:
        NativeBuildError: it cannot be built here, or the installed runtime does not take it.
    """
    remedy = f"unset {SWITCH}: the model's own function bodies need no kernel"
    try:
        path = build_library(kernel_library())
    except NativeBuildError as error:
        raise NativeBuildError(error.cause, f"{error.remedy.rstrip('.')}; or {remedy}.") from None
    try:
        options.register_custom_ops_library(str(path))
    except Exception as error:  # onnxruntime's own exceptions have no common base
        reason = str(error).strip().splitlines()[0]
        raise NativeBuildError(
            f"onnxruntime does not take {path} ({reason})", f"Remove it to have it built again, or {remedy}."
        ) from None
    return path
