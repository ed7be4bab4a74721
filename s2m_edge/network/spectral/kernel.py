"""The native kernel of the eager op on the CPU: used where it is there already, built only when asked for.

Nothing compiles by surprise. `enable()` builds it; from then on, in this and in later processes of the same versions,
`spectral_filter` runs through it on the CPU. S2M_EDGE_KERNEL=0 leaves it out, and so does `matrix_form()`, for the
reference: golden outputs must not depend on whether a compiler was there.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from s2m_edge.errors import NativeBuildError
from s2m_edge.native import KERNEL_FOLDER, NativeLibrary, build_library, find_library

SWITCH = "S2M_EDGE_KERNEL"
_FUNCTIONS = {
    torch.float32: "s2m_edge_spectral_filter_float",
    torch.float16: "s2m_edge_spectral_filter_half",
}
_matrix_form: ContextVar[bool] = ContextVar("matrix_form", default=False)


@dataclass
class _Loaded:
    """The library of this process; `looked` once it was looked for."""

    library: Any = None
    looked: bool = False


_loaded = _Loaded()


def kernel_library() -> NativeLibrary:
    """What the library is built from: our sources and the installed torch wheel."""
    folder = Path(torch.__file__).parent
    return NativeLibrary(
        "s2m_edge_torch", KERNEL_FOLDER / "torch_cpu", {"torch": torch.__version__}, {"S2M_EDGE_TORCH": str(folder)}
    )


def enable() -> Path:
    """Build the kernel where it is not built yet, and use it from now on.

    Returns:
        The library's file.

    Raises:
        NativeBuildError: there is no compiler, or the build fails; the matrix form stays in use.
    """
    path = build_library(kernel_library())
    _load(path)
    return path


def is_enabled() -> bool:
    """Whether eager calls on the CPU go through the kernel here and now."""
    return _library() is not None


@contextmanager
def matrix_form() -> Iterator[None]:
    """Within it, this thread's eager calls run the matrix form in plain torch, whatever is installed."""
    token = _matrix_form.set(True)
    try:
        yield
    finally:
        _matrix_form.reset(token)


def try_kernel(x: Tensor, weight: Tensor) -> Tensor | None:
    """The spectral filter through the kernel, or None where it does not apply.

    Args:
        x: B x C x H x W; the kernel takes float32 and float16 on the CPU.
        weight: C x K1 x K2, any floating dtype.
    """
    function = _FUNCTIONS.get(x.dtype)
    if function is None or x.device.type != "cpu" or weight.device.type != "cpu" or (library := _library()) is None:
        return None
    source, gains = x.contiguous(), weight.detach().to(torch.float32).contiguous()
    result = torch.empty_like(source)
    shape = (ctypes.c_int64 * 6)(*source.shape, *gains.shape[1:])
    done = getattr(library, function)(source.data_ptr(), gains.data_ptr(), result.data_ptr(), shape)
    return result if done else None  # out of memory: torch says so in its own words, or finds a way


def kernel_calls() -> int:
    """How often the kernel was called in this process."""
    library = _loaded.library
    return 0 if library is None else int(library.s2m_edge_spectral_filter_calls())


def _library() -> Any:
    if _matrix_form.get() or os.environ.get(SWITCH) == "0":
        return None
    if not _loaded.looked:
        found = find_library(kernel_library())
        if found is not None:
            _load(found)
        _loaded.looked = True
    return _loaded.library


def _load(path: Path) -> None:
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise NativeBuildError(
            f"the native kernel {path} does not load ({error})",
            f"Remove it and build it again, or set {SWITCH}=0, which leaves it out.",
        ) from None
    pointer = ctypes.c_void_p
    for name in _FUNCTIONS.values():
        getattr(library, name).argtypes = [pointer, pointer, pointer, pointer]
        getattr(library, name).restype = ctypes.c_bool
    library.s2m_edge_spectral_filter_calls.restype = ctypes.c_uint64
    _loaded.library, _loaded.looked = library, True
