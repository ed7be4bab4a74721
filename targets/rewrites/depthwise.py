"""7x7 depthwise convolutions as sums of smaller ones that mobile kernels have."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn

from s2m_edge.network.fake_quantized.layers import QuantizedConv2d
from s2m_edge.targets.rewrites.replace import replace_modules, require_match

Network = TypeVar("Network", bound=nn.Module)


class SplitDepthwise(nn.Module):
    """A 7x7 depthwise convolution as 5x5 (the centre) + 2x7 (top and bottom row) + 5x2 (left and right column).

    XNNPACK's depthwise kernels have at most 25 taps; beyond, it runs a grouped matrix product with one channel per
    group. Dilation 6 puts the two taps of an edge pair six pixels apart. 25 + 14 + 10 = 49 taps: each once.

    Args:
        convolution: depthwise, 7x7, stride 1, padding 3.
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        weight = convolution.weight.detach()
        channels = convolution.in_channels
        self.centre = nn.Conv2d(channels, channels, 5, padding=2, groups=channels)
        self.rows = nn.Conv2d(channels, channels, (2, 7), padding=(3, 3), dilation=(6, 1), groups=channels, bias=False)
        self.columns = nn.Conv2d(
            channels, channels, (5, 2), padding=(2, 3), dilation=(1, 6), groups=channels, bias=False
        )
        self.to(weight)
        self.centre.weight.copy_(weight[:, :, 1:6, 1:6])
        self.rows.weight.copy_(weight[:, :, ::6, :])
        self.columns.weight.copy_(weight[:, :, 1:6, ::6])
        assert self.centre.bias is not None
        self.centre.bias.copy_(torch.zeros(channels) if convolution.bias is None else convolution.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.centre(x) + self.rows(x) + self.columns(x)


def split_depthwise(network: Network) -> Network:
    """A copy of `network` in which every 7x7 depthwise convolution is split in three; equal to rounding."""
    split = 0

    def make(convolution: nn.Conv2d) -> nn.Module:
        nonlocal split
        if not is_seven_by_seven_depthwise(convolution):
            return convolution
        split += 1
        return SplitDepthwise(convolution)

    with torch.no_grad():
        rewritten = replace_modules(network, nn.Conv2d, make)
    require_match(network, "split_depthwise", split)
    return rewritten


def is_seven_by_seven_depthwise(convolution: nn.Conv2d) -> bool:
    """Whether `SplitDepthwise` equals this convolution."""
    return (
        convolution.kernel_size == (7, 7)
        and convolution.groups == convolution.in_channels == convolution.out_channels
        and convolution.stride == (1, 1)
        and convolution.padding == (3, 3)
        and convolution.dilation == (1, 1)
        and convolution.padding_mode == "zeros"
    )


def split_rounded(layer: QuantizedConv2d) -> nn.Module:
    """A quantized 7x7 depthwise convolution as three smaller ones in float, with the rounded weights; any other as is.

    XNNPACK's integer kernels end at 25 taps too, and its grouped product took five times as long (220 ms against 40 at
    144 x 88 x 88, the best of 15 each on an AVX2 core with other work). Integers times integers add up exactly in
    float32, so the answer is the same.
    """
    if not layer.enabled or not is_seven_by_seven_depthwise(layer):
        return layer
    with torch.no_grad():
        plain = nn.Conv2d(layer.in_channels, layer.out_channels, 7, padding=3, groups=layer.groups)
        plain.weight.copy_(layer.rounded_weight())
        assert plain.bias is not None
        plain.bias.copy_(torch.zeros_like(plain.bias) if layer.bias is None else layer.bias)
        return SplitDepthwise(plain)
