"""LayerNorm over channels as convolutions and pointwise operators, for delegates that have no LayerNorm."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from s2m_edge.network.blocks import ChannelLayerNorm
from s2m_edge.targets.rewrites.replace import replace_modules

Network = TypeVar("Network", bound=nn.Module)


class ConvolutionalLayerNorm(nn.Module):
    """ChannelLayerNorm: c = (I - 1/C) x, then weight * c / sqrt(mean(c^2) + epsilon) + bias.

    Both means are 1x1 convolutions (the second with epsilon as its bias), so that nothing leaves a channels-last
    convolution graph. B x C x H x W to the same shape.
    """

    centring: Tensor
    averaging: Tensor
    epsilon: Tensor
    gain: Tensor
    offset: Tensor

    def __init__(self, norm: ChannelLayerNorm) -> None:
        super().__init__()
        gain = norm.weight.detach()
        channels = gain.numel()
        centring = torch.eye(channels, dtype=torch.float64) - 1.0 / channels
        self.register_buffer("centring", centring[:, :, None, None].to(gain))
        self.register_buffer("averaging", gain.new_full((1, channels, 1, 1), 1.0 / channels))
        self.register_buffer("epsilon", gain.new_full((1,), norm.epsilon))
        self.register_buffer("gain", gain.clone()[:, None, None])
        self.register_buffer("offset", norm.bias.detach().clone()[:, None, None])

    def forward(self, x: Tensor) -> Tensor:
        centred = F.conv2d(x, self.centring)
        scale = torch.rsqrt(F.conv2d(centred * centred, self.averaging, self.epsilon))
        return centred * scale * self.gain + self.offset


def layer_norm_as_convolutions(network: Network) -> Network:
    """A copy of `network` in which every ChannelLayerNorm is two 1x1 convolutions; equal to rounding."""
    with torch.no_grad():
        return replace_modules(network, ChannelLayerNorm, ConvolutionalLayerNorm, rewrite="layer_norm_as_convolutions")
