"""The spectral filter's native kernel for ExecuTorch: built against the pip wheel, loaded into this process."""

from __future__ import annotations

import ctypes
from importlib import metadata
from pathlib import Path

from s2m_edge.errors import NativeBuildError
from s2m_edge.native import NativeLibrary, build_library
from s2m_edge.spectral import QUALIFIED_NAME
from s2m_edge.targets.quiet import quiet_native

OPERATOR = f"{QUALIFIED_NAME}.out"
"""The operator as programs and the runtime name it."""

_HERE = Path(__file__).resolve().parent
_NATIVE, _RUNNER = _HERE / "native", _HERE / "runner"


def kernel_library() -> NativeLibrary:
    """The library that registers the operator with the runtime of the wheel."""
    return NativeLibrary("s2m_edge_executorch", _NATIVE, _versions(), _definitions())


def console_runner() -> NativeLibrary:
    """The program that runs a .pte on a raw tensor without Python, the operator linked in."""
    return NativeLibrary("s2m_edge_runner", _RUNNER, _versions(), _definitions(), kind="program", includes=(_NATIVE,))


def load_kernel() -> None:
    """Register the operator with this process's runtime, unless it is there; builds the library where needed.

    Raises:
        NativeBuildError: the library can be neither found nor built, or does not load.
    """
    # The runtime comes first: the library registers with the copy of it that Python has loaded.
    with quiet_native():
        from executorch.runtime import Runtime

        runtime = Runtime.get()
    if OPERATOR in runtime.operator_registry.operator_names:  # a second registration would end the process
        return
    path = build_library(kernel_library())
    try:
        ctypes.CDLL(str(path))
    except OSError as error:
        raise NativeBuildError(
            f"the native kernel {path} does not load ({error})",
            "Remove it to have it built again, or export with --spectral matmul, which needs none.",
        ) from None


def _versions() -> dict[str, str]:
    return {"executorch": metadata.version("executorch")}


def _definitions() -> dict[str, str]:
    wheel = Path(str(metadata.distribution("executorch").locate_file("executorch")))
    return {"executorch_DIR": str(wheel / "lib" / "cmake" / "executorch")}
