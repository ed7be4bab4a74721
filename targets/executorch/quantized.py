"""The fake-quantized network in the form that XNNPACK's integer kernels are recognised in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from s2m_edge.model import S2MNet
from s2m_edge.precision import SpectralLowering
from s2m_edge.quantized.layers import QuantizedConv2d
from s2m_edge.quantized.lower import with_integer_operations
from s2m_edge.targets.executorch.probabilities import DelegableProbabilities
from s2m_edge.targets.rewrites import (
    SplitDepthwise,
    layer_norm_as_convolutions,
    replace_modules,
)
from s2m_edge.targets.rewrites.compact_spectral import compact_spectral
from s2m_edge.targets.rewrites.depthwise import is_seven_by_seven_depthwise

if TYPE_CHECKING:
    from torch.export import ExportedProgram


class RepeatedPixels(nn.Module):
    """Nearest upsampling by 2, B x C x H x W to B x C x 2H x 2W, as a transposed convolution with ones; exact.

    XNNPACK has no nearest upsampling, and a portable one would split the delegate.
    """

    weight: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.eye(channels)[:, :, None, None].repeat(1, 1, 2, 2))

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.conv_transpose2d(x, self.weight, stride=2)


def prepare_quantized(model: S2MNet, spectral: SpectralLowering = "matmul") -> nn.Module:
    """A copy of a fake-quantized network with probabilities and integer operations, every other operator delegable."""
    channels = model.config.encoder_channels[0]
    network = compact_spectral(model) if spectral == "matmul" else model
    if network.config.mixer_stages:
        network = layer_norm_as_convolutions(network)
    network = replace_modules(network, nn.Upsample, lambda _: RepeatedPixels(channels))
    network = replace_modules(network, QuantizedConv2d, split_rounded)
    return DelegableProbabilities(with_integer_operations(network)).eval()


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


def separate_dequantizations(program: ExportedProgram) -> None:
    """Give every user of a dequantized tensor a dequantization of its own; in place.

    The partitioner takes "dequantize, operator, quantize" as one integer operator. A dequantization that several of
    them share ends up inside one and is asked for by the others: a cycle between partitions.
    """
    graph = program.graph_module.graph
    for node in list(graph.nodes):
        if getattr(node.target, "__name__", "") != "dequantize_per_tensor.default":
            continue
        for user in list(node.users)[1:]:
            with graph.inserting_before(user):
                own = graph.node_copy(node)
            user.replace_input_with(node, own)
    graph.lint()
    program.graph_module.recompile()
