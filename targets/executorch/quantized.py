"""The fake-quantized network in the form that XNNPACK's integer kernels are recognised in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from s2m_edge.model import S2MNet
from s2m_edge.precision import SpectralLowering
from s2m_edge.quantized.lower import with_integer_operations
from s2m_edge.targets.executorch.probabilities import DelegableProbabilities
from s2m_edge.targets.rewrites import layer_norm_as_convolutions, replace_modules, spectral_as_matmul

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
    network = spectral_as_matmul(model) if spectral == "matmul" else model
    if network.config.mixer_stages:
        network = layer_norm_as_convolutions(network)
    network = replace_modules(network, nn.Upsample, lambda _: RepeatedPixels(channels))
    return DelegableProbabilities(with_integer_operations(network)).eval()


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
