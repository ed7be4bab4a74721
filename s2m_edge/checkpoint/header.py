"""What a checkpoint says of itself, and its tensors as they are stored."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s2m_edge.bundled import BUNDLED_CHECKPOINTS, QUANTIZED_SUFFIX
from s2m_edge.checkpoint.places import locate_checkpoint
from s2m_edge.deploy.spec import NetworkSpec, tensors_hash, window_of
from s2m_edge.errors import CheckpointError
from s2m_edge.files import file_sha256
from s2m_edge.imaging.classes import default_classes
from s2m_edge.imaging.intensity import intensity_of
from s2m_edge.network.config import S2MNetConfig
from s2m_edge.texts import printable

if TYPE_CHECKING:
    import torch

FORMAT = "s2m-edge-checkpoint"
FORMAT_VERSION = 1
QUANTIZED_FORMAT_VERSION = 2
USED_ENTRIES = {"class_names": list, "domain": str, "fit": str, "float": dict, "phases": list, "recipe": str}
"""Entries of a provenance that more is done with than showing them, and their kinds."""
FIGURES = ("validation_dice", *(f"{split}_{what}" for split in ("val", "test") for what in ("dice", "images")))
"""How the provenance's entries begin that say how well these very weights do."""


@dataclass(frozen=True)
class CheckpointHeader:
    """What a checkpoint says of itself, without its weights.

    Attributes:
        path: the file.
        config: the network's layout.
        provenance: where the weights come from: dataset, split, recipe, figures, tool versions (JSON values).
        sha256: of the file.
        tensors: number of tensors; parameters: number of values.
        quantization: what is quantized and how (`QuantizationConfig.to_dict`); None of a float checkpoint.
    """

    path: Path
    config: S2MNetConfig
    provenance: dict[str, Any]
    sha256: str
    tensors: int
    parameters: int
    quantization: dict[str, Any] | None = None

    @cached_property
    def weights_sha256(self) -> str:
        """The network's identity: of its tensors, whatever else the file says. See `tensors_hash`.

        Raises:
            CheckpointError: the file cannot be read any more.
        """
        return tensors_hash(read_tensors(self.path))


def read_header(path: str | Path | None = None) -> CheckpointHeader:
    """Configuration and provenance of a checkpoint, or of a bundled one by name. Reads no weights.

    Raises:
        CheckpointError: missing, truncated, or not written by s2m-edge.
    """
    path = locate_checkpoint(path)
    if not path.is_file():
        raise CheckpointError(
            f"there is no checkpoint {path}",
            f"Check the path, or name a bundled one: {', '.join(BUNDLED_CHECKPOINTS)}.",
        )
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise CheckpointError(
            f"{path} has a name that is no UTF-8, which safetensors cannot open", "Rename it, or its folder."
        ) from None
    metadata, tensors, parameters = _opened(path)
    if metadata.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} is a safetensors file, but not an s2m-edge checkpoint",
            "Use one written by s2m-edge (its metadata names the network's configuration).",
        )
    config_values, provenance, quantization = _parsed(metadata, path)
    config = S2MNetConfig.from_dict(config_values)
    return CheckpointHeader(path, config, provenance, file_sha256(path), tensors, parameters, quantization)


def _opened(path: Path) -> tuple[dict[str, str], int, int]:
    """The metadata of a safetensors file, the number of its tensors, and that of their values."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            parameters = sum(math.prod(file.get_slice(name).get_shape()) for name in names)
            return file.metadata() or {}, len(names), parameters
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} is not a readable safetensors file ({error})",
            "It is truncated or of another format: copy it again, or convert it to an s2m-edge checkpoint.",
        ) from None


def _parsed(metadata: Mapping[str, str], path: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any] | None]:
    """Configuration, provenance and quantization; every value that is used is of the kind that it has to be."""
    try:
        version = int(metadata["format_version"])
        config_values, provenance = json.loads(metadata["config"]), json.loads(metadata["provenance"])
        quantization = json.loads(metadata["quantization"]) if "quantization" in metadata else None
        objects = (config_values, provenance, {} if quantization is None else quantization)
        if not all(isinstance(values, dict) for values in objects):
            raise ValueError("no object")
        provenance = {key: value for key, value in provenance.items() if value is not None or key not in USED_ENTRIES}
        for key, kind in USED_ENTRIES.items():
            if not isinstance(provenance.get(key, kind()), kind):
                raise ValueError(key)
        if not all(isinstance(name, str) for name in provenance.get("class_names", ())):
            raise ValueError("class_names")
    except (KeyError, ValueError, RecursionError):
        raise CheckpointError(f"{path} has damaged metadata", "Copy the checkpoint again.") from None
    if version > QUANTIZED_FORMAT_VERSION:
        raise CheckpointError(
            f"{path} was written by a newer s2m-edge (checkpoint format {version}, this one reads up to "
            f"{QUANTIZED_FORMAT_VERSION})",
            "Update s2m-edge.",
        )
    return config_values, provenance, quantization


def figures_of(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of a provenance that were measured on these weights, and are not true of others."""
    return {key: value for key, value in provenance.items() if key.startswith(FIGURES)}


def without_figures(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """The other entries of a provenance: they stay true when the weights change."""
    return {key: value for key, value in provenance.items() if not key.startswith(FIGURES)}


def network_spec(header: CheckpointHeader, size: int | None = None) -> NetworkSpec:
    """What a checkpoint's network says of itself.

    Args:
        size: input height and width in pixels; the checkpoint's own by default.
    """
    config = header.config
    stem = header.path.stem if header.quantization is None else header.path.stem.removesuffix(QUANTIZED_SUFFIX)
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._") or "network"
    if size is not None and size != config.size:
        config, name = replace(config, size=size), f"{name}-{size}"
    return NetworkSpec(
        name[-100:].lstrip("-._"),
        height=config.size,
        width=config.size,
        channels=config.in_channels,
        classes=default_classes(config.classes, tuple(header.provenance.get("class_names") or ())),
        activation="sigmoid" if config.classes == 1 else "softmax",
        window=window_of(header.provenance),
        intensity=intensity_of(header.provenance),
        architecture="S2M-Net",
        layout=config.to_dict(),
        provenance=header.provenance,
        file=printable(header.path.name),
        sha256=header.sha256,
        weights_sha256=header.weights_sha256,
    )


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """All tensors of a checkpoint, as they are stored.

    Raises:
        CheckpointError: the file cannot be read.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} cannot be read ({error})", "Copy the checkpoint again.") from None
