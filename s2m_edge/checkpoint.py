"""Checkpoints: weights, configuration and provenance in one safetensors file.

Matrices are stored as float16, vectors (biases, normalisation, statistics) as float32; the network itself computes in
float32. The metadata holds two JSON texts, `config` and `provenance`, and a format version.

An int8 checkpoint (format version 2) holds the fake-quantized network: a third JSON text, `quantization`, quantized
weights as int8 beside one float32 scale per output channel, and a scale and a zero point per activation. Every target's
int8 artifact derives from this one file.
"""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s2m_edge.bundled import ASSETS, BUNDLED_CHECKPOINTS, QUANTIZED_SUFFIX
from s2m_edge.deploy.claims import require_held
from s2m_edge.deploy.contract import CONTRACT_FILE
from s2m_edge.deploy.precision import PRECISION_ROWS, Precision, require_fitting_precision
from s2m_edge.deploy.spec import NetworkSpec, tensors_hash, window_of
from s2m_edge.errors import CheckpointError
from s2m_edge.files import file_sha256, write_bytes
from s2m_edge.imaging.classes import default_classes
from s2m_edge.imaging.intensity import intensity_of
from s2m_edge.network.config import S2MNetConfig
from s2m_edge.texts import printable

if TYPE_CHECKING:
    import torch

    from s2m_edge.network.fake_quantized import QuantizationConfig
    from s2m_edge.network.model import S2MNet

FORMAT = "s2m-edge-checkpoint"
FORMAT_VERSION = 1
QUANTIZED_FORMAT_VERSION = 2
GUARD_SUFFIX = "-guard.safetensors"
USED_ENTRIES = {"class_names": list, "domain": str, "fit": str, "float": dict, "phases": list, "recipe": str}
"""Entries of a provenance that more is done with than showing them, and their kinds."""
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

    @cached_property
    def weights_sha256(self) -> str:
        """The network's identity: of its tensors, whatever else the file says. See `tensors_hash`.

        Raises:
            CheckpointError: the file cannot be read any more.
        """
        return tensors_hash(_read_tensors(self.path))


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


def is_bundled(path: Path) -> bool:
    """Whether a file is one that came with the package."""
    return path.resolve().is_relative_to(ASSETS.resolve())


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


def bundled_with_weights(sha256: str) -> Path | None:
    """The bundled checkpoint whose weights have this SHA-256, or None."""
    files = (path for path in BUNDLED_CHECKPOINTS.values() if path.is_file())
    return next((path for path in files if read_header(path).weights_sha256 == sha256), None)


def quantized_counterpart(header: CheckpointHeader) -> Path | None:
    """The bundled int8 checkpoint that was made from a float one, or None."""
    for name, path in BUNDLED_CHECKPOINTS.items():
        if name.endswith(QUANTIZED_SUFFIX) and path.is_file():
            origin = read_header(path).provenance.get("float", {})
            if origin.get("weights_sha256") == header.weights_sha256:
                return path
    return None


def guard_beside(header: CheckpointHeader) -> Path | None:
    """The input guard that lies beside a checkpoint as NAME-guard.safetensors, or None; an int8 checkpoint has its
    float form's, which was trained on the same pictures."""
    stem = header.path.stem
    names = [stem] if header.quantization is None else [stem, stem.removesuffix(QUANTIZED_SUFFIX)]
    places = [header.path.with_name(f"{name}{GUARD_SUFFIX}") for name in names]
    return next((place for place in places if place.is_file()), None)


def locate_model(path: str | Path | None = None) -> Path:
    """A bundle's folder as it is; whatever else is given, a checkpoint's file as `locate_checkpoint` finds it.

    Raises:
        CheckpointError: there is nothing.
    """
    if path is not None and (Path(path) / CONTRACT_FILE).is_file():
        return Path(path)
    found = locate_checkpoint(path)
    if not found.exists():
        raise CheckpointError(
            f"there is no checkpoint or bundle {found}",
            f"Give a .safetensors file, a folder of s2m-edge export, or one of {', '.join(BUNDLED_CHECKPOINTS)}.",
        )
    return found


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
        str(path).encode()
    except UnicodeEncodeError:
        raise CheckpointError(
            f"{path} has a name that is no UTF-8, which safetensors cannot open", "Rename it, or its folder."
        ) from None
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
        if not all(isinstance(values, dict) for values in (config_values, provenance, quantization or {})):
            raise ValueError("no object")
        for key, kind in USED_ENTRIES.items():
            if not isinstance(provenance.get(key) or kind(), kind):
                raise ValueError(key)
        if not all(isinstance(name, str) for name in provenance.get("class_names") or ()):
            raise ValueError("class_names")
    except (KeyError, ValueError, RecursionError):
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
    from s2m_edge.network.spectral import resample_filter

    resampled = dict(tensors)
    for stage in range(1, len(config.encoder_channels) + 1):
        name = f"encoder.{stage - 1}{FILTER_SUFFIX}"
        if name in resampled:
            resampled[name] = resample_filter(resampled[name], new.stage_frequencies(stage))
    return resampled


def checkpoint_for(path: str | Path | None, precision: Precision) -> CheckpointHeader:
    """The checkpoint that an artifact of a precision is made from: the one that is named, or its bundled int8 form
    where the precision takes a quantized network and a float one was named.

    Raises:
        CheckpointError: missing, truncated, or not written by s2m-edge.
        CapabilityError: it is not of the kind that the precision takes.
    """
    header = read_header(path)
    if PRECISION_ROWS[precision].quantized and header.quantization is None:
        header = read_header(quantized_counterpart(header) or header.path)
    require_fitting_precision(precision, header.quantization is not None, header.path.name)
    return header


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


def load_model(path: str | Path | None = None, *, size: int | None = None) -> S2MNet:
    """The network of a checkpoint, float32, on the CPU, in eval mode. Of an int8 checkpoint, the fake-quantized one.

    Args:
        path: a checkpoint, or the name of a bundled one; the one for polyps by default.
        size: see `load_network`.

    Raises:
        CheckpointError, ConfigurationError: see `read_header` and `load_network`.
    """
    return load_network(read_header(path), size=size)


def load_network(header: CheckpointHeader, *, size: int | None = None) -> S2MNet:
    """The network of a checkpoint whose header was read: float32, on the CPU, in eval mode.

    Args:
        size: input size in pixels; the checkpoint's own by default. At another one the spectral filters are resampled
            over frequency, with a `ResampledFilterWarning`: accuracy has to be measured again.

    Raises:
        CheckpointError: missing, truncated, foreign, or its tensors do not fit its configuration.
        ConfigurationError: `size` is not a multiple of 32 from 96 up.
    """
    from s2m_edge.network.model import S2MNet

    require_held(lambda: S2MNet(header.config), header.parameters, header.path)
    tensors = _read_tensors(header.path)
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


def _read_tensors(path: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} cannot be read ({error})", "Copy the checkpoint again.") from None


def _load_quantized(header: CheckpointHeader, tensors: dict[str, torch.Tensor], size: int | None) -> S2MNet:
    """The fake-quantized network, its weights the rounded ones."""
    import torch

    from s2m_edge.network.fake_quantized import QuantizationConfig, quantized_network
    from s2m_edge.network.model import S2MNet

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
