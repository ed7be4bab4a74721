"""A network as LiteRT's converter wants it: four axes wherever four meet fewer, pictures channels last at the door."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from s2m_edge.deploy.interface import INPUT_NAME
from s2m_edge.targets.litert.decompositions import decompositions
from s2m_edge.targets.litert.quantized import round_once


class ChannelsLastInput(nn.Module):
    """A module of a picture B x C x H x W that takes B x H x W x C and gives its result under its name.

    Args:
        network: gives one tensor.
        output_name: of the result.
    """

    def __init__(self, network: nn.Module, output_name: str) -> None:
        super().__init__()
        self.network = network
        self.output_name = output_name

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return {self.output_name: self.network(image.permute(0, 3, 1, 2))}


def prepared_module(network: nn.Module, image: Tensor, quantized: bool = False) -> nn.Module:
    """`network` as a module of functional operators in the forms of `s2m_edge.targets.litert.decompositions`.

    Args:
        network: takes a picture B x H x W x C by the name of `image`.
        image: 1 x H x W x C.
        quantized: whether the network has integer operations.
    """
    with torch.no_grad():
        program = torch.export.export(network, (), {INPUT_NAME: image}, strict=False)
        program = program.run_decompositions(decompositions(quantized))
    if quantized:
        round_once(program)
    align_ranks(program)
    module = program.module()
    module.training = False  # a program's module has no `eval`, and the converter asks
    return module


def align_ranks(program: ExportedProgram) -> int:
    """Give every tensor of fewer axes that meets one of four in an elementwise operator four axes too; in place.

    The converter keeps an operator channels last only where all its tensors have four axes: one gain of C x 1 x 1 is
    enough for a transpose before it and one behind.

    Returns:
        How many there were.
    """
    aten = torch.ops.aten
    elementwise = {
        aten.add.Tensor,
        aten.sub.Tensor,
        aten.mul.Tensor,
        aten.div.Tensor,
        aten.maximum.default,
        aten.minimum.default,
    }
    graph, aligned = program.graph_module.graph, 0
    for node in list(graph.nodes):
        if node.target not in elementwise or node.meta["val"].dim() != 4:
            continue
        for operand in list(node.all_input_nodes):
            value = cast(Tensor, operand.meta["val"])
            if not 0 < value.dim() < 4:
                continue
            shape = [1] * (4 - value.dim()) + list(value.shape)
            with graph.inserting_before(node):
                widened = graph.call_function(aten.view.default, (operand, shape))
            widened.meta["val"] = value.reshape(shape)
            node.replace_input_with(operand, widened)
            aligned += 1
    graph.lint()
    program.graph_module.recompile()
    return aligned
