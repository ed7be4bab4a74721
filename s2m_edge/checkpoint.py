"""Checkpoints: weights, configuration and provenance in one safetensors file.

Matrices are stored as float16, vectors (biases, normalisation, statistics) as float32; the network itself computes in
float32. The metadata holds two JSON texts, `config` and `provenance`, and a format version.

An int8 checkpoint (format version 2) holds the fake-quantized network: a third JSON text, `quantization`, quantized
weights as int8 beside one float32 scale per output channel, and a scale and a zero point per activation. Every target's
int8 artifact derives from this one file.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s2m_edge.config import S2MNetConfig
from s2m_edge.contract import CONTRACT_FILE
from s2m_edge.errors import CheckpointError
from s2m_edge.files import file_sha256, write_bytes

if TYPE_CHECKING:
    import torch

    from s2m_edge.model import S2MNet
    from s2m_edge.quantized import QuantizationConfig

FORMAT = "s2m-edge-checkpoint"
FORMAT_VERSION = 1
QUANTIZED_FORMAT_VERSION = 2
ASSETS = Path(__file__).parent / "assets"
BUNDLED_CHECKPOINTS = {
    "polyp": ASSETS / "checkpoints" / "s2mnet-polyp-352.safetensors",
    "vessel": ASSETS / "checkpoints" / "s2mnet-vessel-256.safetensors",
    "left-ventricle": ASSETS / "checkpoints" / "s2mnet-left-ventricle-256.safetensors",
}
QUANTIZED_SUFFIX = "-int8"
BUNDLED_CHECKPOINTS |= {
    f"{name}{QUANTIZED_SUFFIX}": path.with_stem(f"{path.stem}{QUANTIZED_SUFFIX}")
    for name, path in BUNDLED_CHECKPOINTS.items()
}
"""The checkpoints that come with the package; every command takes their names in place of a file."""
FILTER_SUFFIX = ".mixer.spectral.filter"
FIGURES = ("validation_dice", *(f"{split}_{what}" for split in ("val", "test") for what in ("dice", "images")))
"""How the provenance's entries begin that say how well these very weights do."""


class ResampledFilterWarning(UserWarning):
    """A checkpoint was loaded at another resolution; its spectral filters were resampled over frequency."""


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


def record_provenance(path: Path, entries: Mapping[str, Any]) -> None:
    """Add entries to a checkpoint's provenance; its tensors stay bit for bit as they are, its SHA-256 does not.

    Raises:
        CheckpointError: missing, truncated, or not written by s2m-edge.
        OutputError: the file cannot be written.
    """
    from safetensors.torch import load_file, save

    header = read_header(path)
    metadata = _metadata(header.config, {**header.provenance, **entries}, header.quantization)
    write_bytes(header.path, save(load_file(header.path), metadata=metadata))


def figures_of(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of a provenance that were measured on these weights, and are not true of others."""
    return {key: value for key, value in provenance.items() if key.startswith(FIGURES)}


def without_figures(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """The other entries of a provenance: they stay true when the weights change."""
    return {key: value for key, value in provenance.items() if not key.startswith(FIGURES)}


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

    from s2m_edge.quantized.layers import quantized_convolutions

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


def locate_checkpoint(path: str | Path | None = None) -> Path:
    """A checkpoint's file: the path itself, or the bundled one of that name ("polyp" by default).

    A file of that name in the working folder comes first; a folder of that name, say of pictures, does not.
    """
    if path is None:
        return BUNDLED_CHECKPOINTS["polyp"]
    return Path(path) if Path(path).is_file() else BUNDLED_CHECKPOINTS.get(str(path), Path(path))


def require_float(header: CheckpointHeader) -> None:
    """Raise CheckpointError if the checkpoint is quantized already."""
    if header.quantization is not None:
        raise CheckpointError(f"{header.path} is quantized already", "Give the float checkpoint that it was made from.")


def bundled_with_hash(sha256: str) -> Path | None:
    """The bundled checkpoint that has this SHA-256, or None."""
    files = (path for path in BUNDLED_CHECKPOINTS.values() if path.is_file())
    return next((path for path in files if file_sha256(path) == sha256), None)


def quantized_counterpart(header: CheckpointHeader) -> Path | None:
    """The bundled int8 checkpoint that was made from a float one, or None."""
    for name, path in BUNDLED_CHECKPOINTS.items():
        if name.endswith(QUANTIZED_SUFFIX) and path.is_file():
            origin = read_header(path).provenance.get("float", {})
            if origin.get("sha256") == header.sha256:
                return path
    return None


def locate_model(path: str | Path | None = None) -> Path:
    """A bundle's folder as it is; whatever else is given, a checkpoint's file as `locate_checkpoint` finds it."""
    if path is not None and (Path(path) / CONTRACT_FILE).is_file():
        return Path(path)
    return locate_checkpoint(path)


def read_header(path: str | Path | None = None) -> CheckpointHeader:
    """Configuration and provenance of a checkpoint, or of a bundled one by name. Reads no weights.

    Raises:
        CheckpointError: missing, truncated, or not written by s2m-edge.
    """
    from safetensors import SafetensorError, safe_open

    path = locate_checkpoint(path)
    if not path.is_file():
        raise CheckpointError(
            f"there is no checkpoint {path}",
            f"Check the path, or name a bundled one: {', '.join(BUNDLED_CHECKPOINTS)}.",
        )
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            names = list(file.keys())
            parameters = 0
            for name in names:
                count = 1
                for length in file.get_slice(name).get_shape():
                    count *= length
                parameters += count
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} is not a readable safetensors file ({error})",
            "It is truncated or of another format: copy it again, or convert it to an s2m-edge checkpoint.",
        ) from None
    if metadata.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} is a safetensors file, but not an s2m-edge checkpoint",
            "Use one written by s2m-edge (its metadata names the network's configuration).",
        )
    try:
        version = int(metadata["format_version"])
        config_values, provenance = json.loads(metadata["config"]), json.loads(metadata["provenance"])
        quantization = json.loads(metadata["quantization"]) if "quantization" in metadata else None
    except (KeyError, ValueError):
        raise CheckpointError(f"{path} has damaged metadata", "Copy the checkpoint again.") from None
    if version > QUANTIZED_FORMAT_VERSION:
        raise CheckpointError(
            f"{path} was written by a newer s2m-edge (checkpoint format {version}, this one reads up to "
            f"{QUANTIZED_FORMAT_VERSION})",
            "Update s2m-edge.",
        )
    config = S2MNetConfig.from_dict(config_values)
    return CheckpointHeader(path, config, provenance, file_sha256(path), len(names), parameters, quantization)


def _resample_filters(
    tensors: dict[str, torch.Tensor], config: S2MNetConfig, new: S2MNetConfig
) -> dict[str, torch.Tensor]:
    from s2m_edge.spectral import resample_filter

    resampled = dict(tensors)
    for stage in range(1, len(config.encoder_channels) + 1):
        name = f"encoder.{stage - 1}{FILTER_SUFFIX}"
        if name in resampled:
            resampled[name] = resample_filter(resampled[name], new.stage_frequencies(stage))
    return resampled


def load_model(path: str | Path | None = None, *, size: int | None = None) -> S2MNet:
    """The network of a checkpoint, float32, on the CPU, in eval mode. Of an int8 checkpoint, the fake-quantized one.

    Args:
        path: a checkpoint, or the name of a bundled one; the one for polyps by default.
        size: input size in pixels; the checkpoint's own by default. At another one the spectral filters are resampled
            over frequency, with a `ResampledFilterWarning`: accuracy has to be measured again.

    Raises:
        CheckpointError: missing, truncated, foreign, or its tensors do not fit its configuration.
        ConfigurationError: `size` is not a multiple of 32 from 96 up.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from s2m_edge.model import S2MNet

    header = read_header(path)
    try:
        tensors = load_file(header.path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{header.path} cannot be read ({error})", "Copy the checkpoint again.") from None
    if header.quantization is not None:
        return _load_quantized(header, tensors, size)
    tensors = {name: tensor.float() for name, tensor in tensors.items()}
    config = header.config
    if size is not None and size != config.size:
        resized = replace(config, size=size)
        tensors = _resample_filters(tensors, config, resized)
        warnings.warn(
            f"{header.path.name} was trained at {config.size} x {config.size}; its spectral filters were resampled "
            f"over frequency for {size} x {size}. Measure its accuracy before you rely on it.",
            ResampledFilterWarning,
            stacklevel=2,
        )
        config = resized
    return _with_tensors(S2MNet(config), tensors, header)


def _load_quantized(header: CheckpointHeader, tensors: dict[str, torch.Tensor], size: int | None) -> S2MNet:
    """The fake-quantized network, its weights the rounded ones."""
    import torch

    from s2m_edge.model import S2MNet
    from s2m_edge.quantized import QuantizationConfig, quantized_network

    assert header.quantization is not None
    if size is not None and size != header.config.size:
        raise CheckpointError(
            f"{header.path} is quantized for {header.config.size} x {header.config.size}, not for {size} x {size}",
            "Leave --size out, or quantize the float checkpoint at that size.",
        )
    whole: dict[str, torch.Tensor] = {}
    for name, tensor in tensors.items():
        scale = tensors.get(f"{name.removesuffix('weight')}weight_scale")
        if tensor.dtype == torch.int8 and scale is not None:
            tensor = tensor.float() * scale.float()[:, None, None, None]
        whole[name] = tensor.float() if tensor.is_floating_point() else tensor
    network = quantized_network(S2MNet(header.config), QuantizationConfig.from_dict(header.quantization))
    return _with_tensors(network, whole, header)


def _with_tensors(model: S2MNet, tensors: dict[str, torch.Tensor], header: CheckpointHeader) -> S2MNet:
    try:
        missing, unexpected = model.load_state_dict(tensors, strict=False)
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise CheckpointError(
            f"{header.path} does not fit its own configuration ({first})", "Copy the checkpoint again."
        ) from None
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing or unexpected:
        raise CheckpointError(
            f"{header.path} has {len(missing)} tensors missing and {len(unexpected)} too many "
            f"({(missing + unexpected)[0]})",
            "Copy the checkpoint again.",
        )
    return model.eval().requires_grad_(False)
