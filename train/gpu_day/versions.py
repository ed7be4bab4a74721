"""The one place that knows of versions other than the pinned ones: a rented machine brings its own PyTorch and Python.

Training and the measurements use what PyTorch 2.11 and the pinned one have in common. The runtimes are tied to the
pinned PyTorch (ExecuTorch most of all), so that one may be missing or refuse to load: parity then says so, bundle by
bundle, and the rest goes on.
"""

from __future__ import annotations

import platform
from typing import Any

from torch import nn

from s2m_edge.network.spectral.compiled import trace_through


def describe_machine(device: str) -> dict[str, Any]:
    """Versions, and name and driver of the GPU."""
    import torch

    from s2m_edge.deploy.recording import nvidia_driver

    values: dict[str, Any] = {"python": platform.python_version(), "torch": torch.__version__, "device": device}
    if device == "cuda":
        values |= {"gpu": torch.cuda.get_device_name(), "cuda": torch.version.cuda, "driver": nvidia_driver()}
        values["cudnn"] = torch.backends.cudnn.version()
    return values


def compile_network(network: nn.Module, backend: str) -> None:
    """torch.compile in place, as in training."""
    trace_through()
    network.compile(backend=backend)
