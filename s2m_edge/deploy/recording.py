"""Recording the reference once, on the device that counts (a GPU where there is one), for later comparisons.

A record is a golden file (see `s2m_edge.deploy.golden`) that also says how far it is from float64 on the CPU. Parity
can be measured against it instead of against a PyTorch run beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from s2m_edge.deploy.activation import probabilities
from s2m_edge.deploy.golden import Golden, Reference, read_golden, record_golden, reference_device, write_golden
from s2m_edge.devices import full_float32
from s2m_edge.errors import ContractError
from s2m_edge.imaging.inputs import read_input
from s2m_edge.versions import tool_versions

if TYPE_CHECKING:
    from torch import nn

    from s2m_edge.deploy.spec import NetworkSpec

REMEDY = "Record it again with s2m-edge reference record."


@dataclass(frozen=True)
class Record:
    """A recorded reference.

    Attributes:
        golden: inputs and outputs.
        device: what it was recorded on, with its precision.
        weights_sha256: of the network.
        float64_error: largest absolute difference of probabilities from float64 on the CPU.
        stamp: everything else that the file says of itself.
    """

    golden: tuple[Golden, ...]
    device: str
    weights_sha256: str
    float64_error: float
    stamp: dict[str, str]


def record_reference(network: nn.Module, spec: NetworkSpec, images: Sequence[Path], device: str) -> Record:
    """Run a network in float32 on `device` and in float64 on the CPU over image files.

    Matrix products keep full float32 precision (no TF32).
    """
    import copy

    preprocessing, threshold = spec.preprocessing, spec.threshold
    pictures = [(path.name, read_input(path, preprocessing)) for path in images]
    with full_float32():
        golden = record_golden(Reference(copy.deepcopy(network).to(device), preprocessing), pictures, threshold)
    exact = record_golden(Reference(copy.deepcopy(network).double(), preprocessing), pictures, threshold)
    error = max(
        float(np.abs(probabilities(one.logits) - probabilities(other.logits)).max())
        for one, other in zip(golden, exact, strict=True)
    )
    stamp = {"checkpoint": spec.file, **tool_versions()}
    if device == "cuda":
        import torch

        stamp["cudnn"] = str(torch.backends.cudnn.version())
        stamp["driver"] = nvidia_driver()
    return Record(tuple(golden), reference_device(device), spec.weights_sha256, error, stamp)


def nvidia_driver() -> str:
    """The driver's version as the kernel module states it, or "unknown"."""
    path = Path("/sys/module/nvidia/version")
    return path.read_text().strip() if path.is_file() else "unknown"


def write_record(path: Path, record: Record) -> None:
    """Raises OutputError where the place cannot be written."""
    metadata = {
        **record.stamp,
        "device": record.device,
        "weights_sha256": record.weights_sha256,
        "float64_error": repr(record.float64_error),
    }
    write_golden(path, record.golden, metadata)


def read_record(path: Path) -> Record:
    """What `write_record` wrote.

    Raises:
        ContractError: missing, damaged, or a golden file that is no record.
    """
    golden, metadata = read_golden(path, REMEDY)
    stamp: dict[str, Any] = dict(metadata)
    try:
        return Record(
            tuple(golden),
            stamp.pop("device"),
            stamp.pop("weights_sha256"),
            float(stamp.pop("float64_error")),
            stamp,
        )
    except (KeyError, ValueError) as error:
        raise ContractError(f"{path} is no recorded reference ({error} is missing or wrong)", REMEDY) from None
