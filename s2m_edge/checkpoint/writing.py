"""Writing checkpoints, whole or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s2m_edge.checkpoint.header import FORMAT, FORMAT_VERSION, QUANTIZED_FORMAT_VERSION, CheckpointHeader, read_header
from s2m_edge.errors import CheckpointError
from s2m_edge.files import write_bytes
from s2m_edge.network.config import S2MNetConfig

if TYPE_CHECKING:
    import torch

    from s2m_edge.network.fake_quantized import QuantizationConfig
    from s2m_edge.network.model import S2MNet


def save_checkpoint(path: Path, model: S2MNet, provenance: Mapping[str, Any]) -> None:
    """Write `model` and its provenance; beside first, then renamed, so that no half-written file stays.

    Raises:
        OutputError: the place cannot be written, or the disk is full.
    """
    import torch
    from safetensors.torch import save

    tensors: dict[str, torch.Tensor] = {}
    for name, tensor in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        value = tensor.detach().cpu().contiguous(memory_format=torch.contiguous_format)
        tensors[name] = value.half() if value.dim() > 1 else value.float()
        if not torch.isfinite(tensors[name]).all():
            raise CheckpointError(f"the weights {name} are not finite in {tensors[name].dtype}", "Train again.")
    write_bytes(Path(path), save(tensors, metadata=_metadata(model.config, provenance)))


def save_quantized_checkpoint(
    path: Path, model: S2MNet, quantization: QuantizationConfig, provenance: Mapping[str, Any]
) -> None:
    """Write a calibrated fake-quantized network; beside first, then renamed.

    Args:
        model: of `quantized_network(..., quantization)`.

    Raises:
        CheckpointError: a value is not finite.
        OutputError: the place cannot be written, or the disk is full.
    """
    import torch
    from safetensors.torch import save

    from s2m_edge.network.fake_quantized.layers import quantized_convolutions

    integers = {f"{name}.weight": layer.integers() for name, layer in quantized_convolutions(model) if layer.enabled}
    tensors: dict[str, torch.Tensor] = {}
    for name, tensor in model.state_dict().items():
        stored: torch.Tensor = integers.get(name, tensor)  # type: ignore[assignment]
        value = stored.detach().cpu().contiguous(memory_format=torch.contiguous_format)
        if value.is_floating_point():
            value = value.half() if value.dim() > 1 else value.float()
            if not torch.isfinite(value).all():
                raise CheckpointError(f"the tensor {name} is not finite in {value.dtype}", "Quantize again.")
        tensors[name] = value.clone()  # a quantizer of two blocks is stored by both names
    metadata = _metadata(model.config, provenance, quantization.to_dict())
    write_bytes(Path(path), save(tensors, metadata=metadata))


def record_provenance(path: Path, entries: Mapping[str, Any]) -> None:
    """Add entries to a checkpoint's provenance; its tensors stay bit for bit as they are, its SHA-256 does not.

    Raises:
        CheckpointError: missing, truncated, or not written by s2m-edge.
        OutputError: the file cannot be written.
    """
    header = read_header(path)
    write_bytes(header.path, with_provenance(header, entries))


def with_provenance(header: CheckpointHeader, entries: Mapping[str, Any]) -> bytes:
    """The content of a checkpoint's file with entries added to its provenance; the file stays as it is.

    Raises:
        CheckpointError: the file is not the one any more that `header` is of, or cannot be read.
    """
    from safetensors.torch import load, save

    content = _same_content(header)
    metadata = _metadata(header.config, {**header.provenance, **entries}, header.quantization)
    return save(load(content), metadata=metadata)


def require_unchanged(header: CheckpointHeader) -> None:
    """Raise CheckpointError unless a checkpoint's file is the one that `header` is of."""
    _same_content(header)


def _same_content(header: CheckpointHeader) -> bytes:
    try:
        content = header.path.read_bytes()
    except OSError as error:
        raise CheckpointError(
            f"{header.path} cannot be read any more ({error.strerror or error})", "Put it back."
        ) from None
    if hashlib.sha256(content).hexdigest() != header.sha256:
        raise CheckpointError(
            f"{header.path} was changed while it was in use (SHA-256 differs)", "Run the command again."
        )
    return content


def _metadata(
    config: S2MNetConfig, provenance: Mapping[str, Any], quantization: Mapping[str, Any] | None = None
) -> dict[str, str]:
    metadata = {
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        "config": json.dumps(config.to_dict()),
        "provenance": json.dumps(dict(provenance)),
    }
    if quantization is not None:
        metadata["format_version"] = str(QUANTIZED_FORMAT_VERSION)
        metadata["quantization"] = json.dumps(dict(quantization))
    return metadata
