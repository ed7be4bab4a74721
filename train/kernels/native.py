"""The native training kernels: built by `enable`, once per version of torch, into the user's cache."""

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

_STORAGE = {torch.float32: "float", torch.bfloat16: "bfloat"}
_P, _I = ctypes.c_void_p, ctypes.c_int64
_FUNCTIONS = {  # training_torch.cpp
    "depthwise_gradient": [_P, _P, _P, _P, _I],
    "norm_statistics": [_P, _I, _I, _P, _P],
    "norm_elu_forward": [_P, _P, _I, _I, _P, _P, _P],
    "norm_elu_sums": [_P, _P, _I, _I, _P, _P, _P, _P, _P],
    "norm_elu_backward": [_P, _P, _P, _I, _I, _P, _P, _P, _P, _P],
}


@dataclass
class _Loaded:
    library: Any = None


_loaded = _Loaded()


def kernel_library() -> NativeLibrary:
    """What the library is built from: our sources and the installed torch wheel."""
    return NativeLibrary(
        "s2m_edge_training",
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
        for name, arguments in _FUNCTIONS.items():
            for storage in _STORAGE.values():
                function = getattr(library, f"s2m_edge_{name}_{storage}")
                function.argtypes, function.restype = arguments, ctypes.c_bool
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


def call(name: str, dtype: torch.dtype, *arguments: Tensor | int | ctypes.Array[Any]) -> bool:
    """Call a kernel for tensors of one dtype; False where it does not apply, or memory is lacking.

    Args:
        name: one of training_torch.cpp's functions, without prefix and type.
        arguments: tensors on the CPU, laid out as it wants them; sizes; arrays of sizes.
    """
    if dtype not in _STORAGE or not is_enabled():
        return False
    function = getattr(_loaded.library, f"s2m_edge_{name}_{_STORAGE[dtype]}")
    return function(*(given.data_ptr() if isinstance(given, Tensor) else given for given in arguments))
