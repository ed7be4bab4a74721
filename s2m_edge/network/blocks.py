"""The network's building blocks: MRF-SE, SSTM and the boundary-focused decoder block (arXiv 2601.01285, section 3)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from s2m_edge.network.config import (
    SPECTRAL_INITIAL_PEAK,
    SPECTRAL_INITIAL_RADIUS,
    SPECTRAL_INITIAL_WIDTH,
    S2MNetConfig,
)
from s2m_edge.network.spectral import spectral_filter

DEPTHWISE_KERNELS = (3, 5, 7)


def convolution_arguments(convolution: nn.Conv2d) -> dict[str, Any]:
    """What makes another convolution of the same shape, with a bias or without as this one."""
    return {
        "in_channels": convolution.in_channels,
        "out_channels": convolution.out_channels,
        "kernel_size": convolution.kernel_size,
        "stride": convolution.stride,
        "padding": convolution.padding,
        "dilation": convolution.dilation,
        "groups": convolution.groups,
        "bias": convolution.bias is not None,
    }


class ConvNorm(nn.Sequential):
    """Convolution with bias ("same" padding, sizes round up on stride 2), BatchNorm, and an activation or none."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        activation: nn.Module | None,
        *,
        stride: int = 1,
        groups: int = 1,
    ) -> None:
        layers: list[nn.Module] = [
            nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups),
            nn.BatchNorm2d(out_channels),
        ]
        super().__init__(*layers, *([activation] if activation is not None else []))


class ChannelLayerNorm(nn.Module):
    """LayerNorm over the channels of each position: B x C x H x W to the same shape."""

    def __init__(self, channels: int, epsilon: float) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        last = x.permute(0, 2, 3, 1)
        return F.layer_norm(last, self.weight.shape, self.weight, self.bias, self.epsilon).permute(0, 3, 1, 2)


class SqueezeExcitation(nn.Module):
    """Channel gates from the global average: sigmoid(W2 ELU(W1 mean(x))) * x, with max(C / 16, 8) hidden units."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(channels // 16, 8)
        self.reduce = nn.Conv2d(channels, hidden, 1)
        self.expand = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        pooled = x.mean(dim=(2, 3), keepdim=True)
        return x * torch.sigmoid(self.expand(F.elu(self.reduce(pooled))))


class MultiReceptiveField(nn.Module):
    """MRF-SE: expand, three parallel depthwise convolutions, fuse, squeeze-excitation, project, residual.

    B x C x H x W to the same shape.
    """

    def __init__(self, channels: int, expansion: int, dropout: float) -> None:
        super().__init__()
        width = channels * expansion
        self.expand = ConvNorm(channels, width, 1, nn.ELU())
        self.branches = nn.ModuleList(ConvNorm(width, width, k, nn.ELU(), groups=width) for k in DEPTHWISE_KERNELS)
        self.fuse = ConvNorm(width * len(DEPTHWISE_KERNELS), width, 1, nn.ELU())
        self.squeeze_excitation = SqueezeExcitation(width)
        self.project = ConvNorm(width, channels, 1, None)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        expanded = self.expand(x)
        fused = self.fuse(torch.cat([branch(expanded) for branch in self.branches], dim=1))
        return x + self.dropout(self.project(self.squeeze_excitation(fused)))


def initial_filter(channels: int, kept: int) -> Tensor:
    """0.5 * exp(-(|f| - 0.25)^2 / (2 * 0.15^2)), |f| radial normalised frequency; C x K' x K', alike per channel."""
    # On the CPU whatever the default device: on the meta device PyTorch would import its compiler for these sums.
    frequency = (torch.arange(kept, device="cpu") - kept // 2) / kept
    radius = torch.sqrt(frequency[:, None] ** 2 + frequency[None, :] ** 2)
    gain = SPECTRAL_INITIAL_PEAK * torch.exp(
        -((radius - SPECTRAL_INITIAL_RADIUS) ** 2) / (2 * SPECTRAL_INITIAL_WIDTH**2)
    )
    return torch.empty(channels, kept, kept).copy_(gain)


class SpectralBranch(nn.Module):
    """The spectral filter with its learned weight, then LayerNorm. `frequencies` is K' = min(K, H, W)."""

    def __init__(self, channels: int, frequencies: int, epsilon: float) -> None:
        super().__init__()
        self.filter = nn.Parameter(initial_filter(channels, frequencies))
        self.norm = ChannelLayerNorm(channels, epsilon)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(spectral_filter(x, self.filter))


class SpatialBranch(nn.Module):
    """Per position: gate g = sigmoid(W_g s + b_g), then W_C ELU(W_B (s * g)), or one projection in the release."""

    def __init__(self, channels: int, config: S2MNetConfig) -> None:
        super().__init__()
        self.gate = nn.Conv2d(channels, channels, 1)
        if config.spatial_branch == "bottleneck":
            self.mix = nn.Sequential(
                nn.Conv2d(channels, config.bottleneck_width, 1),
                nn.ELU(),
                nn.Conv2d(config.bottleneck_width, channels, 1),
            )
        else:
            self.mix = nn.Sequential(nn.Conv2d(channels, channels, 1))
        self.norm = ChannelLayerNorm(channels, config.layer_norm_epsilon)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.mix(x * torch.sigmoid(self.gate(x))))


class SpectralSpatialMixer(nn.Module):
    """SSTM: spectral branch and (where the layout has one) spatial branch, fusion, LayerNorm, residual.

    B x C x H x W to the same shape; the spectral filter belongs to one H and W.
    """

    def __init__(self, channels: int, stage: int, config: S2MNetConfig) -> None:
        super().__init__()
        epsilon = config.layer_norm_epsilon
        self.spectral = SpectralBranch(channels, config.stage_frequencies(stage), epsilon)
        self.spatial: SpatialBranch | None = None
        self.fuse: nn.Sequential | None = None
        if stage in config.spatial_stages:
            self.spatial = SpatialBranch(channels, config)
            self.fuse = nn.Sequential(nn.Conv2d(2 * channels, channels, 1), ChannelLayerNorm(channels, epsilon))
        self.norm = ChannelLayerNorm(channels, epsilon)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        mixed = self.spectral(x)
        if self.spatial is not None and self.fuse is not None:
            mixed = self.fuse(torch.cat((mixed, self.spatial(x)), dim=1))
        return x + self.dropout(self.norm(mixed))


class BoundaryFocusedDecoder(nn.Module):
    """BFD: region features, a boundary map learned from the loss alone, and boundary refinement.

    forward(deep B x Cd x h x w, skip B x Cs x H x W) gives features B x F x H x W and beta B x 1 x H x W in [0, 1].
    """

    def __init__(self, deep_channels: int, skip_channels: int, channels: int) -> None:
        super().__init__()
        self.region = nn.Sequential(
            ConvNorm(deep_channels + skip_channels, channels, 3, nn.ReLU()),
            ConvNorm(channels, channels, 3, nn.ReLU()),
        )
        self.boundary = nn.Sequential(
            nn.Conv2d(channels, channels // 2, 3, padding=1), nn.ReLU(), nn.Conv2d(channels // 2, 1, 1)
        )
        self.refine = ConvNorm(channels, channels, 3, nn.ReLU())
        self.project = ConvNorm(channels, channels, 1, nn.ReLU())

    def forward(self, deep: Tensor, skip: Tensor) -> tuple[Tensor, Tensor]:
        height, width = skip.shape[-2:]
        raised = F.interpolate(deep, size=(height, width), mode="bilinear", align_corners=False)
        region = self.region(torch.cat((raised, skip), dim=1))
        beta = torch.sigmoid(self.boundary(region))
        refined = self.refine(region * beta)
        return self.project(region * (1 - beta) + refined * beta), beta
