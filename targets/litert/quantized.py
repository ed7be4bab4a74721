"""The fake-quantized network in the form in which LiteRT's converter finds integer operators."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from s2m_edge.deploy.precision import SpectralLowering
from s2m_edge.network.fake_quantized.layers import QuantizedConv2d
from s2m_edge.network.fake_quantized.lower import DequantizingConv2d, with_integer_operations
from s2m_edge.targets.litert.spectral import spectral_as_composite
from s2m_edge.targets.rewrites import layer_norm_as_convolutions, replace_modules
from s2m_edge.targets.rewrites.compact_spectral import compact_spectral
from s2m_edge.targets.rewrites.depthwise import split_rounded

if TYPE_CHECKING:
    from torch.export import ExportedProgram
    from torch.fx import Node


class RoundingConv2d(nn.Module):
    """A DequantizingConv2d whose weights come as floats and are rounded in the graph, which they do not change.

    The converter makes an integer convolution of "float constant, quantize, dequantize"; of an int8 constant it makes
    nothing.
    """

    weight: Tensor
    weight_scale: Tensor
    weight_zero_point: Tensor

    def __init__(self, layer: DequantizingConv2d) -> None:
        super().__init__()
        self.register_buffer("weight", layer.weight.float() * layer.weight_scale[:, None, None, None])
        self.register_buffer("weight_scale", layer.weight_scale)
        self.register_buffer("weight_zero_point", layer.weight_zero_point)
        self.bias = layer.bias
        self.options = layer.options

    def forward(self, x: Tensor) -> Tensor:
        operations = torch.ops.quantized_decomposed
        # All of int8, whatever the limit of the weights: the converter knows no narrower range than -127..127.
        numbers = (self.weight_scale, self.weight_zero_point, 0, -127, 127, torch.int8)
        weight = operations.dequantize_per_channel(operations.quantize_per_channel(self.weight, *numbers), *numbers)
        return nn.functional.conv2d(x, weight, self.bias, *self.options)  # type: ignore[call-overload, arg-type]


def prepare_quantized(network: nn.Module, image: Tensor, spectral: SpectralLowering = "matmul") -> nn.Module:
    """A copy of a fake-quantized network with integer operations, everything else as XNNPACK takes it.

    Args:
        image: of the network's size, 1 x channels x height x width.
    """
    rewrite = spectral_as_composite if spectral == "custom" else compact_spectral
    network = layer_norm_as_convolutions(rewrite(network, image))
    network = replace_modules(network, QuantizedConv2d, split_rounded)
    return replace_modules(with_integer_operations(network), DequantizingConv2d, RoundingConv2d)


def round_once(program: ExportedProgram) -> None:
    """Let what has integers of several scales around it compute in float and be rounded once; in place.

    The converter gives averages of neighbours (bilinear resizing, average pooling) and concatenations one scale for all
    that they take and give: that of an average is smaller than its input's, which has the peaks, and they were cut off.
    Tensors of one scale that are joined, as S2M-Net's are, stay integers.
    """
    aten, operations = torch.ops.aten, torch.ops.quantized_decomposed
    for node in list(program.graph.nodes):
        if node.target in (aten.upsample_bilinear2d.vec, aten.upsample_bilinear2d.default, aten.avg_pool2d.default):
            _set_apart(node, [node.args[0]])
        elif node.target is aten.cat.default:
            joined = node.args[0]
            scales = {entry.args[1:3] for entry in joined if entry.target is operations.dequantize_per_tensor.default}
            scales |= {user.args[1:3] for user in node.users if user.target is operations.quantize_per_tensor.default}
            if len(scales) > 1:
                _set_apart(node, joined)
    program.graph.lint()
    program.graph_module.recompile()


def _set_apart(node: Node, operands: Iterable[Node]) -> None:
    """Put `apart` before each of these operands and behind the node."""
    graph, operation = node.graph, torch.ops.s2m_edge_litert.apart.default
    for operand in operands:
        with graph.inserting_before(node):
            taken = graph.call_function(operation, (operand,))
        taken.meta["val"] = operand.meta["val"]
        node.replace_input_with(operand, taken)
    with graph.inserting_after(node):
        given = graph.call_function(operation, (node,))
    given.meta["val"] = node.meta["val"]
    node.replace_all_uses_with(given, lambda user: user is not given)


def integer_configuration() -> Any:
    """What makes the converter look for integer operators; nothing in it chooses scales, the graph has them."""
    from litert_torch.quantize.pt2e_quantizer import PT2EQuantizer, get_symmetric_quantization_config
    from litert_torch.quantize.quant_config import QuantConfig

    return QuantConfig(PT2EQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True)))
