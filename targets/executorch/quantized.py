"""The fake-quantized network in the form that XNNPACK's integer kernels are recognised in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from s2m_edge.deploy.precision import SpectralLowering
from s2m_edge.network.fake_quantized.layers import QuantizedConv2d
from s2m_edge.network.fake_quantized.lower import with_integer_operations
from s2m_edge.targets.executorch.probabilities import DelegableProbabilities
from s2m_edge.targets.rewrites import (
    layer_norm_as_convolutions,
    replace_modules,
)
from s2m_edge.targets.rewrites.compact_spectral import compact_spectral
from s2m_edge.targets.rewrites.depthwise import split_rounded
from s2m_edge.targets.rewrites.upsample import doubles

if TYPE_CHECKING:
    from torch.export import ExportedProgram


LARGEST_GROUP = 64
"""Channels of a transposed convolution that repeats pixels."""


class RepeatedPixels(nn.Module):
    """Nearest upsampling by 2, B x C x H x W to B x C x 2H x 2W, as a transposed convolution with ones; exact.

    XNNPACK has no nearest upsampling, and a portable one would split the delegate. Many channels go in groups, because
    the ones of 1280 among themselves would be 26 MB.
    """

    weight: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        size = next(size for size in range(min(channels, LARGEST_GROUP), 0, -1) if channels % size == 0)
        self.groups = channels // size
        self.register_buffer("weight", torch.eye(size)[:, :, None, None].repeat(self.groups, 1, 2, 2))

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.conv_transpose2d(x, self.weight, stride=2, groups=self.groups)


def prepare_quantized(network: nn.Module, image: Tensor, spectral: SpectralLowering = "matmul") -> nn.Module:
    """A copy of a fake-quantized network with probabilities and integer operations, every other operator delegable.

    Args:
        image: of the network's size, 1 x channels x height x width.
    """
    network = compact_spectral(network, image) if spectral == "matmul" else network
    network = layer_norm_as_convolutions(network)
    network = repeat_pixels(network, image)
    network = replace_modules(network, QuantizedConv2d, split_rounded)
    return DelegableProbabilities(with_integer_operations(network)).eval()


def repeat_pixels(network: nn.Module, image: Tensor) -> nn.Module:
    """A copy of `network` in which every nearest upsampling by 2 is `RepeatedPixels`; `image` as above."""
    channels: dict[str, int] = {}
    doubling = {name: module for name, module in network.named_modules() if doubles(module)}
    handles = [
        module.register_forward_pre_hook(lambda module, inputs, name=name: channels.update({name: inputs[0].shape[1]}))
        for name, module in doubling.items()
    ]
    try:
        if doubling:
            with torch.no_grad():
                network(image)
    finally:
        for handle in handles:
            handle.remove()
    order = iter([channels[name] for name in doubling])
    return replace_modules(
        network, nn.Upsample, lambda module: RepeatedPixels(next(order)) if doubles(module) else module
    )


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
