"""The network of a checkpoint."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from s2m_edge.checkpoint.header import CheckpointHeader, read_header, read_tensors
from s2m_edge.deploy.claims import require_held
from s2m_edge.errors import CheckpointError
from s2m_edge.network.config import S2MNetConfig

if TYPE_CHECKING:
    import torch

    from s2m_edge.network.model import S2MNet

FILTER_SUFFIX = ".mixer.spectral.filter"


class ResampledFilterWarning(UserWarning):
    """A checkpoint was loaded at another resolution; its spectral filters were resampled over frequency."""


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
    tensors = read_tensors(header.path)
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
