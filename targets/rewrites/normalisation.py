"""Instance and group normalisation as means, products and a reciprocal root, for runtimes that have no such operator.

Centred first: a runtime's own kernel may take mean(x^2) - mean(x)^2, which loses what a large common offset hides.
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from s2m_edge.targets.rewrites.replace import replace_modules

Network = TypeVar("Network", bound=nn.Module)


class ArithmeticNorm(nn.Module):
    """c = x - mean(x), then weight * c / sqrt(mean(c^2) + epsilon) + bias; B x C x H x W to the same shape.

    Means are over the positions of a channel and, in groups, over its group's channels too, by a 1x1 convolution of
    the channels' means: an average is all that leaves the maps.

    A map's mean is that of the means of its rows: a runtime that adds 80,000 values one after the other loses five
    digits of seven; of 300 sums of 300 it loses half as many. Both are poolings, because OpenVINO joins two means into
    one, and that into its own normalisation, and XNNPACK has only the mean of a whole map.

    Args:
        norm: an InstanceNorm2d without running statistics, or a GroupNorm.
    """

    sharing: Tensor | None
    gain: Tensor | None
    offset: Tensor | None

    def __init__(self, norm: nn.InstanceNorm2d | nn.GroupNorm) -> None:
        super().__init__()
        self.eps = float(norm.eps)
        sharing = None
        if isinstance(norm, nn.GroupNorm) and norm.num_groups != norm.num_channels:
            size = norm.num_channels // norm.num_groups
            blocks = [torch.full((size, size), 1.0 / size, dtype=torch.float64)] * norm.num_groups
            dtype = torch.float32 if norm.weight is None else norm.weight.dtype
            sharing = torch.block_diag(*blocks)[:, :, None, None].to(dtype).contiguous()
        self.register_buffer("sharing", sharing)
        weight, bias = norm.weight, norm.bias
        self.register_buffer("gain", None if weight is None else weight.detach().clone()[:, None, None])
        self.register_buffer("offset", None if bias is None else bias.detach().clone()[:, None, None])

    def mean(self, x: Tensor) -> Tensor:
        """The means that each channel is centred by, B x C x 1 x 1."""
        means = F.avg_pool2d(F.avg_pool2d(x, (1, x.shape[3])), (x.shape[2], 1))
        return means if self.sharing is None else F.conv2d(means, self.sharing)

    def forward(self, x: Tensor) -> Tensor:
        centred = x - self.mean(x)
        y = centred * torch.rsqrt(self.mean(centred * centred) + self.eps)
        y = y if self.gain is None else y * self.gain
        return y if self.offset is None else y + self.offset


def norms_as_arithmetic(network: Network) -> Network:
    """A copy of `network` in which every instance and group normalisation of maps is arithmetic; equal to rounding."""

    def instance(norm: nn.InstanceNorm2d) -> nn.Module:
        return norm if norm.track_running_stats else ArithmeticNorm(norm)

    def group(norm: nn.GroupNorm) -> nn.Module:
        return ArithmeticNorm(norm)

    with torch.no_grad():
        return replace_modules(replace_modules(network, nn.InstanceNorm2d, instance), nn.GroupNorm, group)
