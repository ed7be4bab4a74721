"""What computes here: the cores of this machine, and where PyTorch runs the reference and in what precision."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from s2m_edge.errors import ConfigurationError

DEVICES = ("auto", "cpu", "cuda")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Of the environment: what numerical libraries take their number of threads from when they are loaded."""


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def choose_device(name: str) -> str:
    """ "cpu" or "cuda" for `--device`; "auto" is a GPU where there is one.

    Raises:
        ConfigurationError: unknown, or CUDA was asked for and there is none.
    """
    if name not in DEVICES:
        raise ConfigurationError(f"there is no device {name!r}", f"Choose --device {', '.join(DEVICES)}.")
    if name == "cpu":
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if name == "cuda":
        raise ConfigurationError("PyTorch finds no CUDA device here", "Use --device cpu, or auto.")
    return "cpu"


@contextmanager
def full_float32() -> Iterator[None]:
    """Matrix products and convolutions on a GPU keep float32's 24 bits (TF32 has 11); as before afterwards.

    Nothing changes on the CPU.
    """
    import torch

    flags = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    try:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = flags
