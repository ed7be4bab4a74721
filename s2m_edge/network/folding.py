"""BatchNorm folded into the convolution in front of it."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from s2m_edge.network.blocks import convolution_arguments


def fold_pair(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    """The convolution that equals `convolution` and then `norm` in eval mode."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    gain = norm.weight if norm.weight is not None else torch.ones_like(norm.running_var)
    offset = norm.bias if norm.bias is not None else torch.zeros_like(norm.running_mean)
    # In float64, so that folding itself loses nothing: only the folded weights are rounded.
    weight, bias = fuse_conv_bn_weights(
        convolution.weight.double(),
        None if convolution.bias is None else convolution.bias.double(),
        norm.running_mean.double(),
        norm.running_var.double(),
        norm.eps,
        gain.double(),
        offset.double(),
    )
    folded = nn.Conv2d(
        **{**convolution_arguments(convolution), "bias": True}, padding_mode=convolution.padding_mode
    ).to(convolution.weight)
    with torch.no_grad():
        folded.weight.copy_(weight)
        assert folded.bias is not None
        folded.bias.copy_(bias)
    return folded
