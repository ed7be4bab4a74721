"""The native kernel of the weight gradient: built by `enable`, once per version of torch, into the user's cache."""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from s2m_edge.errors import NativeBuildError
from s2m_edge.native import NativeLibrary, build_library, require_buildable
from s2m_edge.network.spectral.kernel import SWITCH

KERNEL_SIZES = (5, 7)
_FUNCTIONS = {
    torch.float32: "s2m_edge_depthwise_gradient_float",
    torch.bfloat16: "s2m_edge_depthwise_gradient_bfloat",
}


@dataclass
class _Loaded:
    library: Any = None


_loaded = _Loaded()


def kernel_library() -> NativeLibrary:
    """What the library is built from: our sources and the installed torch wheel."""
    return NativeLibrary(
        "s2m_edge_depthwise",
        Path(__file__).parent / "csrc",
        {"torch": torch.__version__},
        {"S2M_EDGE_TORCH": str(Path(torch.__file__).parent)},
        remedy=f"Install a C++17 compiler and CMake (Debian: apt install g++ cmake), or set {SWITCH}=0.",
    )


def enable() -> bool:
    """Build the kernel where it is not built yet, and use it from now on in this process.

    Returns:
        False where S2M_EDGE_KERNEL=0 leaves native kernels out; PyTorch's own gradient stays in use then.

    Raises:
        NativeBuildError: there is no compiler, or the build fails; PyTorch's own gradient stays in use.
    """
    if os.environ.get(SWITCH) == "0":
        return False
    if _loaded.library is None:
        path = build_library(kernel_library())
        try:
            library = ctypes.CDLL(str(path))
        except OSError as error:
            raise NativeBuildError(
                f"the native kernel {path} does not load ({error})",
                f"Remove it, or set {SWITCH}=0.",
            ) from None
        for name in _FUNCTIONS.values():
            getattr(library, name).argtypes = [ctypes.c_void_p] * 4 + [ctypes.c_int64]
            getattr(library, name).restype = ctypes.c_bool
        _loaded.library = library
    return True


def lacking() -> str:
    """What a user should know before training on this CPU: why there is no kernel, and what that costs; or nothing."""
    if os.environ.get(SWITCH) == "0":
        return ""
    try:
        require_buildable(kernel_library())
    except NativeBuildError as error:
        return f"training takes about twice as long: {error}"
    return ""


def is_enabled() -> bool:
    """Whether `enable` has loaded the kernel, and nothing has switched it off since."""
    return _loaded.library is not None and os.environ.get(SWITCH) != "0"


def try_kernel(x: Tensor, upstream: Tensor, size: int) -> Tensor | None:
    """The weight gradient through the kernel, C x 1 x size x size of float32, or None where it does not apply.

    Args:
        x, upstream: B x C x H x W of one dtype, on the CPU; the kernel takes float32 and bfloat16.
        size: the convolution kernel's side.
    """
    function = _FUNCTIONS.get(x.dtype)
    if function is None or upstream.dtype != x.dtype or x.device.type != "cpu" or not is_enabled():
        return None
    if size not in KERNEL_SIZES:
        return None
    x, upstream = (tensor.contiguous(memory_format=torch.channels_last) for tensor in (x, upstream))
    result = torch.empty(x.shape[1], 1, size, size)
    shape = (ctypes.c_int64 * 4)(*x.shape)
    done = getattr(_loaded.library, function)(x.data_ptr(), upstream.data_ptr(), result.data_ptr(), shape, size)
    return result if done else None
