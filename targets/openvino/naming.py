"""Converting an exported program so that the IR's nodes say which module of the network they come from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from s2m_edge.targets.openvino.backend import import_openvino

if TYPE_CHECKING:
    import openvino
    from torch.export import ExportedProgram
    from torch.fx import GraphModule


def convert_with_module_names(program: ExportedProgram, extensions: Sequence[Path] = ()) -> openvino.Model:
    """`openvino.convert_model`, with names like "network.encoder.0.down.2/elu_1/aten.elu.default/Elu".

    OpenVINO names a node after the torch.fx node that it was made of and forgets the module. Nodes that its own passes
    make up (a convolution that has swallowed a BatchNorm) keep their names, as do inputs and outputs.

    Args:
        extensions: libraries that convert operators which OpenVINO does not know.
    """
    ov = import_openvino()
    from openvino.frontend.pytorch.fx_decoder import TorchFXPythonDecoder

    # What convert_model does first with an ExportedProgram; done here to see the graph that the names come from.
    decoder = TorchFXPythonDecoder.from_exported_program(program)
    paths = module_paths(decoder.pt_module)
    model = ov.convert_model(decoder, extension=list(extensions) or None)
    for node in model.get_ops():
        name = node.get_friendly_name()
        path = paths.get(name.split("/")[0])
        if path and node.get_type_name() not in ("Parameter", "Result"):
            node.set_friendly_name(f"{path}/{name}")
    return model


def module_paths(graph: GraphModule) -> dict[str, str]:
    """Of every node of a torch.fx graph, by name, the dotted path of the module that it comes from."""
    stacks = {node.name: node.meta.get("nn_module_stack") for node in graph.graph.nodes}
    return {name: list(stack.values())[-1][0] for name, stack in stacks.items() if stack}
