"""Passes over a finished ModelProto: names, half-precision storage, and removal of what only its author needs."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from s2m_edge.targets.half_storage import halved

if TYPE_CHECKING:
    import onnx

_SCOPES = "pkg.torch.onnx.name_scopes"


def store_weights_as_float16(model: onnx.ModelProto) -> int:
    """Store the large float32 initializers as float16, each with a Cast to float32 behind it; in place.

    Computation stays float32: runtimes fold the Casts when they load the model. Values are rounded to nearest.
    Initializers with a value beyond float16's range stay as they are.

    Returns:
        How many initializers were halved.
    """
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    casts: list[onnx.NodeProto] = []
    for initializer in graph.initializer:
        if initializer.data_type != TensorProto.FLOAT:
            continue
        values = halved(numpy_helper.to_array(initializer))
        if values is None:
            continue
        name = initializer.name
        stored = f"{name}.float16"
        initializer.CopyFrom(numpy_helper.from_array(values, stored))
        casts.append(helper.make_node("Cast", [stored], [name], name=f"{name}.cast", to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return len(casts)


def name_nodes_by_module(model: onnx.ModelProto) -> None:
    """Lead every node's name by the path of its module, as in "network.encoder.0.down.2/node_Elu_21"; in place.

    Profilers show these names. Comes before `remove_traces`, which removes the note that they are made from: the names
    of the scopes around a node, the last of which is the operator itself.
    """
    for node in model.graph.node:
        note = next((entry.value for entry in node.metadata_props if entry.key == _SCOPES), None)
        scopes = ast.literal_eval(note) if note else []
        if len(scopes) > 1 and scopes[-2]:
            node.name = f"{scopes[-2]}/{node.name}"


def remove_traces(model: onnx.ModelProto) -> None:
    """Remove what the exporter notes on nodes and values: stack traces with the exporting machine's paths."""
    graph = model.graph
    for entry in (graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        del entry.metadata_props[:]
        entry.doc_string = ""
