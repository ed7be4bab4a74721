"""Recording the reference once, on the device that counts (a GPU where there is one), for later comparisons.

A record is a golden file (see `s2m_edge.deploy.golden`) that also says which network it is of, what made it, and how
far it is from float64 on the CPU. Parity can be measured against it instead of against a PyTorch run beside it. Where
records lie, and why none ever changes: `s2m_edge.deploy.reference_store`.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from s2m_edge.deploy.activation import probabilities
from s2m_edge.deploy.golden import (
    MOST_GOLDEN,
    Golden,
    Reference,
    golden_content,
    read_golden,
    record_golden,
    reference_device,
    require_sound_golden,
)
from s2m_edge.deploy.precision import PRECISION_ROWS
from s2m_edge.devices import full_float32
from s2m_edge.errors import ConfigurationError, ContractError
from s2m_edge.imaging.inputs import read_input
from s2m_edge.processor import features_text, processor_name
from s2m_edge.versions import tool_versions

if TYPE_CHECKING:
    from torch import nn

    from s2m_edge.deploy.spec import NetworkSpec

FORMAT = "s2m-edge-reference"
FORMAT_VERSION = 1
REMEDY = "Record it again with s2m-edge reference record."
_OWN = ("recorded", "float64_error")
_HASHES = ("weights_sha256", "spec_sha256", "inputs_sha256")


@dataclass(frozen=True)
class Record:
    """A recorded reference.

    Attributes:
        golden: inputs and outputs.
        recorded: when, ISO 8601 in UTC, to the second.
        float64_error: largest absolute difference of probabilities from float64 on the CPU.
        stamp: everything else that the file says of itself (`stamp_of`): two records with the same stamp were asked for
            the same, of the same network, by the same device and versions.
    """

    golden: tuple[Golden, ...]
    recorded: str
    float64_error: float
    stamp: Mapping[str, str]

    @property
    def network(self) -> str:
        """The name of the checkpoint's file, or of a network of the user's."""
        return self.stamp["network"]

    @property
    def device(self) -> str:
        """What it was recorded on, with its precision."""
        return self.stamp["device"]

    @property
    def weights_sha256(self) -> str:
        return self.stamp["weights_sha256"]

    @property
    def precision(self) -> str:
        """Whose gate another run of the same network must keep: the first one's of quantized networks, or of others."""
        return self.stamp["precision"]

    @property
    def threshold(self) -> float:
        return float(self.stamp["threshold"])

    @property
    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Of every picture (height, width, channels) and of its logits (outputs, height, width)."""
        return self.golden[0].image.shape, self.golden[0].logits.shape

    def same_network(self, other: Record) -> bool:
        """Whether two are of the same weights, fed and read in the same way."""
        keys = ("weights_sha256", "spec_sha256")
        return self.shapes == other.shapes and all(self.stamp[key] == other.stamp[key] for key in keys)

    def require_of(self, spec: NetworkSpec, name: Path) -> None:
        """Raise ContractError unless it was recorded with a network; `name` is its file."""
        if self.weights_sha256 != spec.weights_sha256:
            raise ContractError(f"{name} was recorded with another checkpoint", "Record it again with this one.")
        shapes = spec.preprocessing.fitted_shape, spec.output_shape
        if self.stamp["spec_sha256"] != spec_hash(spec) or self.shapes != shapes:
            raise ContractError(
                f"{name} was recorded with the same weights at another size, threshold or preprocessing",
                "Record it again with this network.",
            )


def record_reference(network: nn.Module, spec: NetworkSpec, images: Sequence[Path], device: str) -> Record:
    """Run a network in float32 on `device` and in float64 on the CPU over image files.

    Matrix products keep full float32 precision (no TF32).

    Raises:
        ConfigurationError: no images, or more than a file holds.
        ContractError: an output is no number, or no picture shows an object: such a record proves nothing.
        ImageError: an image cannot be read.
    """
    import copy

    pictures = fitted_pictures(spec, images)
    golden = recompute(network, spec, pictures, device)
    preprocessing = spec.preprocessing
    exact = record_golden(Reference(copy.deepcopy(network).double(), preprocessing), pictures, spec.threshold)
    error = max(
        float(np.abs(probabilities(one.logits) - probabilities(other.logits)).max())
        for one, other in zip(golden, exact, strict=True)
    )
    if not math.isfinite(error):
        raise ContractError(
            f"the outputs of {spec.file or spec.name} are no numbers", "Give another checkpoint, or other --images."
        )
    if not any(entry.mask.any() for entry in golden):
        raise ContractError(
            f"{spec.file or spec.name} finds nothing on any of these pictures, and a reference without an object "
            "proves nothing",
            "Give --images that show one.",
        )
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Record(tuple(golden), now, error, stamp_of(network, spec, pictures, device))


def fitted_pictures(spec: NetworkSpec, images: Sequence[Path]) -> list[tuple[str, NDArray[np.uint8]]]:
    """Name and fitted picture of image files, as many as a record holds.

    Raises:
        ConfigurationError: none, or too many.
        ImageError: an image cannot be read.
    """
    if not 1 <= len(images) <= MOST_GOLDEN:
        raise ConfigurationError(
            f"{len(images)} pictures were given to record", f"Give --images with 1 to {MOST_GOLDEN} of them."
        )
    return [(path.name, read_input(path, spec.preprocessing)) for path in images]


def recompute(
    network: nn.Module, spec: NetworkSpec, pictures: Sequence[tuple[str, NDArray[np.uint8]]], device: str
) -> list[Golden]:
    """A network's answers to fitted pictures on a device, in full float32."""
    import copy

    with full_float32():
        reference = Reference(copy.deepcopy(network).to(device), spec.preprocessing, room=0)
        return record_golden(reference, pictures, spec.threshold)


def stamp_of(
    network: nn.Module, spec: NetworkSpec, pictures: Sequence[tuple[str, NDArray[np.uint8]]], device: str
) -> dict[str, str]:
    """What a record says of itself before anything is computed: network, pictures, device, processor, versions."""
    from s2m_edge.network.fake_quantized import is_quantized

    stamp = {
        **tool_versions(),
        "network": spec.file or spec.name,
        "weights_sha256": spec.weights_sha256,
        "spec_sha256": spec_hash(spec),
        "inputs_sha256": inputs_hash([image for _, image in pictures]),
        "threshold": repr(spec.threshold),
        "precision": next(row.name for row in PRECISION_ROWS.values() if row.quantized == is_quantized(network)),
        "device": reference_device(device),
        "processor": processor_name(),
        "features": features_text(),
    }
    if device == "cuda":
        import torch

        stamp["cudnn"] = str(torch.backends.cudnn.version())
        stamp["driver"] = nvidia_driver()
    return stamp


def spec_hash(spec: NetworkSpec) -> str:
    """SHA-256 of what is done before and after a network: preprocessing, size, classes, activation, threshold."""
    values = {
        "preprocessing": asdict(spec.preprocessing),
        "classes": [entry.name for entry in spec.classes],
        "activation": spec.activation,
        "threshold": spec.threshold,
    }
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def inputs_hash(images: Sequence[NDArray[np.uint8]]) -> str:
    """SHA-256 of fitted pictures in their order."""
    total = hashlib.sha256()
    for image in images:
        total.update(str(image.shape).encode())
        total.update(image.tobytes())
    return total.hexdigest()


def nvidia_driver() -> str:
    """The driver's version as the kernel module states it, or "unknown"."""
    path = Path("/sys/module/nvidia/version")
    return path.read_text().strip() if path.is_file() else "unknown"


def record_content(record: Record) -> bytes:
    """The file of a record: the same values are the same bytes."""
    metadata = {
        **record.stamp,
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        "recorded": record.recorded,
        "float64_error": repr(record.float64_error),
    }
    return golden_content(record.golden, metadata)


def parse_record(path: Path) -> Record:
    """What `record_content` made, from a file of any name.

    Raises:
        ContractError: missing, damaged, from a newer version, or a file that is no record.
    """
    stamp = _metadata(path)
    golden, _ = read_golden(path, REMEDY)
    try:
        record = Record(tuple(golden), *(_own(stamp)), stamp)
        _require_sound(record)
    except (KeyError, ValueError) as error:
        raise ContractError(f"{path} is no recorded reference ({error} is missing or wrong)", REMEDY) from None
    first = record.golden[0]
    require_sound_golden(path, record.golden, first.image.shape, first.logits.shape, REMEDY)
    if inputs_hash([entry.image for entry in record.golden]) != record.stamp["inputs_sha256"]:
        raise ContractError(f"{path} is damaged (its pictures are not those that it names)", REMEDY)
    return record


def _metadata(path: Path) -> dict[str, str]:
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise ContractError(f"there is no {path}", REMEDY)
    try:
        with safe_open(path, framework="numpy") as file:
            stamp: dict[str, str] = dict(file.metadata() or {})
    except (SafetensorError, OSError, ValueError) as error:
        raise ContractError(f"{path} is no readable safetensors file ({error})", REMEDY) from None
    if stamp.pop("format", "") != FORMAT:
        raise ContractError(f"{path} is a safetensors file, but no recorded reference", REMEDY)
    version = stamp.pop("format_version", "")
    if version != str(FORMAT_VERSION):
        raise ContractError(
            f"{path} has the reference format {version!r}, and this s2m-edge reads {FORMAT_VERSION}",
            "Update s2m-edge, or record it again with s2m-edge reference record.",
        )
    return {key: value for key, value in stamp.items() if key != "count" and not key.startswith("name.")}


def _own(stamp: dict[str, str]) -> tuple[str, float]:
    """When it was recorded and how exact it is, taken out of a file's metadata."""
    recorded, error = (stamp.pop(key) for key in _OWN)
    return recorded, float(error)


def _require_sound(record: Record) -> None:
    """Raise KeyError or ValueError, naming an entry, unless a stranger's metadata and first entry can be relied on."""
    stamp: Mapping[str, Any] = record.stamp
    for key in _HASHES:
        if len(stamp[key]) != 64 or set(stamp[key]) - set("0123456789abcdef"):
            raise ValueError(key)
    moment = datetime.fromisoformat(record.recorded)
    if moment.utcoffset() is None or moment.isoformat(timespec="seconds") != record.recorded:
        raise ValueError("recorded")
    if not (math.isfinite(record.float64_error) and record.float64_error >= 0):
        raise ValueError("float64_error")
    if not 0.0 <= record.threshold <= 1.0:
        raise ValueError("threshold")
    if stamp["precision"] not in PRECISION_ROWS:
        raise ValueError("precision")
    for key in ("network", "device"):
        stamp[key]
    first = record.golden[0]
    if first.image.ndim != 3 or not first.image.size or first.image.shape[2] not in (1, 3):
        raise ValueError("image.0")
    if first.logits.ndim != 3 or not first.logits.size or first.logits.shape[1:] != first.image.shape[:2]:
        raise ValueError("logits.0")
