"""BatchNorm folded into the convolution before it."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from s2m_edge.blocks import ConvNorm, convolution_arguments
from s2m_edge.targets.rewrites.replace import replace_modules

Network = TypeVar("Network", bound=nn.Module)


def fold_batch_norm(network: Network) -> Network:
    """A copy of `network`, in eval mode, in which no ConvNorm has a BatchNorm; equal to rounding.

    Comes before every rewrite that changes a ConvNorm's convolution (`split_depthwise`).

    Raises:
        ValueError: the network is in training mode (its statistics are then those of the batch), or a ConvNorm does
            not start with a plain convolution.
    """
    with torch.no_grad():
        return replace_modules(network, ConvNorm, _fold)


def _fold(block: ConvNorm) -> nn.Module:
    convolution, norm, *activation = block
    if block.training:
        raise ValueError("BatchNorm folds in eval mode only")
    if not isinstance(convolution, nn.Conv2d) or not isinstance(norm, nn.BatchNorm2d):
        raise ValueError("BatchNorm folds before any rewrite of the convolution in front of it")
    assert norm.running_mean is not None
    assert norm.running_var is not None
    # In float64, so that folding itself loses nothing: only the folded weights are rounded.
    weight, bias = fuse_conv_bn_weights(
        convolution.weight.double(),
        None if convolution.bias is None else convolution.bias.double(),
        norm.running_mean.double(),
        norm.running_var.double(),
        norm.eps,
        norm.weight.double(),
        norm.bias.double(),
    )
    folded = nn.Conv2d(**{**convolution_arguments(convolution), "bias": True}).to(convolution.weight)
    folded.weight.copy_(weight)
    assert folded.bias is not None
    folded.bias.copy_(bias)
    return nn.Sequential(folded, *activation)
