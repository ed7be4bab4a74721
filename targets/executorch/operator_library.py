"""The spectral filter's native kernel for ExecuTorch: built against the pip wheel, loaded into this process."""

from __future__ import annotations

import ctypes
from importlib import metadata
from pathlib import Path

from s2m_edge.errors import NativeBuildError
from s2m_edge.native import NativeLibrary, build_library
from s2m_edge.network.spectral import QUALIFIED_NAME
from s2m_edge.targets.quiet import quiet_native

OPERATOR = f"{QUALIFIED_NAME}.out"
"""The operator as programs and the runtime name it."""

NATIVE_FOLDER = Path(__file__).resolve().parent / "native"
"""The operator's registration, and what a program needs of the wheel (executorch.cmake)."""


def kernel_library() -> NativeLibrary:
    """The library that registers the operator with the runtime of the wheel."""
    return NativeLibrary("s2m_edge_executorch", NATIVE_FOLDER, wheel_versions(), wheel_definitions(installed_wheel()))


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


def wheel_versions() -> dict[str, str]:
    """The version of the installed wheel, as `NativeLibrary` takes it."""
    return {"executorch": metadata.version("executorch")}


def installed_wheel() -> Path:
    """The folder `executorch` of the installed wheel."""
    return Path(str(metadata.distribution("executorch").locate_file("executorch")))


def wheel_definitions(wheel: Path) -> dict[str, str]:
    """What CMake needs to find a wheel's headers and libraries.

    Args:
        wheel: the folder `executorch` in it.
    """
    return {"executorch_DIR": str(wheel / "lib" / "cmake" / "executorch")}
