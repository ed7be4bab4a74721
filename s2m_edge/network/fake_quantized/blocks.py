"""S2M-Net's blocks with quantizers where int8 tensors end.

A convolution is followed by one, and an ELU by another: integer kernels exist for the convolution with its result
rounded, and for the ELU as a table of 256 values. ReLU is part of a convolution everywhere and needs no second one.
What lies between two quantizers and is no convolution (resizing, blending, gates) is computed in float.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from s2m_edge.network.blocks import (
    BoundaryFocusedDecoder,
    ChannelLayerNorm,
    ConvNorm,
    MultiReceptiveField,
    SpatialBranch,
    SpectralBranch,
    SpectralSpatialMixer,
)
from s2m_edge.network.fake_quantized.config import QuantizationConfig
from s2m_edge.network.fake_quantized.layers import ActivationQuantizer, QuantizedConv2d
from s2m_edge.network.folding import fold_pair


def folded(block: ConvNorm) -> tuple[nn.Conv2d, nn.Module | None]:
    """A ConvNorm's convolution with its BatchNorm folded in (in float64, as its running statistics are), and its
    activation."""
    convolution, norm, *activation = block
    assert isinstance(convolution, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    return fold_pair(convolution, norm), activation[0] if activation else None


def convolution_block(
    convolution: nn.Conv2d, activation: nn.Module | None, config: QuantizationConfig, *, last: bool = True
) -> nn.Sequential:
    """Convolution, activation and the quantizers after them.

    Args:
        last: whether the activation's result is rounded here; else the caller does it.
    """
    layers: list[nn.Module] = [QuantizedConv2d(convolution, config.weight_limit)]
    if isinstance(activation, nn.ELU):
        layers.append(ActivationQuantizer(floor=config.elu_floor))
    if activation is not None:
        layers.append(activation)
    if last:
        layers.append(ActivationQuantizer())
    return nn.Sequential(*layers)


class QuantizedReceptiveField(nn.Module):
    """MultiReceptiveField in int8 but for the squeeze-excitation's two small products; B x C x H x W to the same.

    The three branches share one scale, so that joining them is a copy.
    """

    def __init__(self, block: MultiReceptiveField, config: QuantizationConfig) -> None:
        super().__init__()
        self.expand = convolution_block(*folded(block.expand), config)  # type: ignore[arg-type]
        self.branches = nn.ModuleList(
            convolution_block(*folded(branch), config, last=False)  # type: ignore[arg-type]
            for branch in block.branches
        )
        self.joined = ActivationQuantizer()
        self.fuse = convolution_block(*folded(block.fuse), config)  # type: ignore[arg-type]
        self.squeeze_excitation = block.squeeze_excitation
        self.pooled = ActivationQuantizer()
        self.gate = ActivationQuantizer(fixed=(0.0, 1.0))
        self.gated = ActivationQuantizer()
        self.project = convolution_block(*folded(block.project), config)  # type: ignore[arg-type]
        self.dropout = block.dropout
        self.result = ActivationQuantizer()

    def forward(self, x: Tensor) -> Tensor:
        expanded = self.expand(x)
        # Rounding what is rounded changes nothing; it tells a backend that the joined tensor is int8 too.
        joined = self.joined(torch.cat([self.joined(branch(expanded)) for branch in self.branches], dim=1))
        fused = self.fuse(joined)
        gates = self.squeeze_excitation
        pooled = self.pooled(fused.mean(dim=(2, 3), keepdim=True))
        gate = self.gate(torch.sigmoid(gates.expand(F.elu(gates.reduce(pooled)))))
        return self.result(x + self.dropout(self.project(self.gated(fused * gate))))


class QuantizedMixer(nn.Module):
    """An encoder stage's mixer, or none, and the rounding of the stage's result, which is a skip as well."""

    def __init__(self, mixer: nn.Module, result: ActivationQuantizer) -> None:
        super().__init__()
        self.mixer = mixer
        self.result = result

    def forward(self, x: Tensor) -> Tensor:
        return self.result(self.mixer(x))


class QuantizedDecoder(nn.Module):
    """BoundaryFocusedDecoder in int8; resizing, gating and blending are computed in float and rounded after.

    Args:
        skip: the quantizer of the skip, by which the raised features beside it are rounded too.
    """

    def __init__(self, block: BoundaryFocusedDecoder, skip: ActivationQuantizer, config: QuantizationConfig) -> None:
        super().__init__()
        self.raised = skip
        self.region = nn.Sequential(*(convolution_block(*folded(part), config) for part in block.region))  # type: ignore[arg-type]
        first, activation, last = block.boundary
        assert isinstance(first, nn.Conv2d)
        self.boundary = nn.Sequential(*convolution_block(first, activation, config), last)
        self.masked = ActivationQuantizer()
        self.refine = convolution_block(*folded(block.refine), config)  # type: ignore[arg-type]
        self.blended = ActivationQuantizer()
        self.project = convolution_block(*folded(block.project), config)  # type: ignore[arg-type]

    def forward(self, deep: Tensor, skip: Tensor) -> tuple[Tensor, Tensor]:
        height, width = skip.shape[-2:]
        raised = self.raised(F.interpolate(deep, size=(height, width), mode="bilinear", align_corners=False))
        region = self.region(self.raised(torch.cat((raised, skip), dim=1)))
        beta = torch.sigmoid(self.boundary(region))
        refined = self.refine(self.masked(region * beta))
        return self.project(self.blended(region + beta * (refined - region))), beta


def quantize_mixer_parts(mixer: SpectralSpatialMixer, path: str, config: QuantizationConfig) -> None:
    """Quantize, in place, what of an SSTM the configuration does not leave in float: by default nothing."""
    spatial, fuse = mixer.spatial, mixer.fuse
    if config.quantizes(f"{path}.mixer") and spatial is not None and fuse is not None:
        _quantize_spatial(spatial, config)
        assert isinstance(fuse[0], nn.Conv2d)
        fuse[0] = nn.Sequential(ActivationQuantizer(), *convolution_block(fuse[0], None, config))  # type: ignore[arg-type]
    if config.quantizes(f"{path}.spectral"):
        mixer.spectral = QuantizedSpectralBranch(mixer.spectral)  # type: ignore[assignment]
    if config.quantizes(f"{path}.norm"):
        for owner in [module for module in mixer.modules() if not isinstance(module, ChannelLayerNorm)]:
            for name, child in list(owner.named_children()):
                if isinstance(child, ChannelLayerNorm):
                    setattr(owner, name, nn.Sequential(child, ActivationQuantizer()))


def _quantize_spatial(spatial: SpatialBranch, config: QuantizationConfig) -> None:
    spatial.gate = nn.Sequential(*convolution_block(spatial.gate, None, config))  # type: ignore[assignment]
    layers: list[nn.Module] = [ActivationQuantizer()]
    parts = list(spatial.mix)
    for index, part in enumerate(parts):
        if isinstance(part, nn.Conv2d):
            following = parts[index + 1] if index + 1 < len(parts) else None
            layers.extend(convolution_block(part, following, config))
    spatial.mix = nn.Sequential(*layers)


class QuantizedSpectralBranch(nn.Module):
    """A spectral branch whose filter takes and gives rounded values."""

    def __init__(self, branch: SpectralBranch) -> None:
        super().__init__()
        self.before = ActivationQuantizer()
        self.branch = _Filter(branch)
        self.after = ActivationQuantizer()
        self.norm = branch.norm

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.after(self.branch(self.before(x))))


class _Filter(nn.Module):
    def __init__(self, branch: SpectralBranch) -> None:
        super().__init__()
        self.filter = branch.filter

    def forward(self, x: Tensor) -> Tensor:
        from s2m_edge.network.spectral import spectral_filter

        return spectral_filter(x, self.filter)
