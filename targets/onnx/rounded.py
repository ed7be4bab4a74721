"""A graph that computes in float16, so that ONNX Runtime's CPU provider gives what half precision gives.

The provider has no float16 kernels for most operators. It computes such nodes in float32, and drops the conversions
between two of them, so that nothing is rounded there and nothing overflows: figures of float32, whatever float16 would
make of it. Here the same nodes compute in float32 and every value that the graph calls float16 is rounded to it, in the
open, where the runtime leaves it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx


def rounded_in_float32(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model`, used up, with float32 values alone, each rounded to float16 where it was one.

    As on a device without anything between its operators: a node's sums are in float32, its results in float16. A
    result beyond 65504 becomes infinite.
    """
    from onnx import TensorProto, helper, shape_inference

    model = shape_inference.infer_shapes(model, strict_mode=True)
    graph = model.graph
    values = [*graph.value_info, *graph.output, *graph.input]
    half = {entry.name for entry in values if entry.type.tensor_type.elem_type == TensorProto.FLOAT16}
    constants = {entry.name for entry in graph.initializer if entry.data_type == TensorProto.FLOAT16}
    nodes: list[onnx.NodeProto] = []

    def cast(source: str, result: str, to: int) -> None:
        nodes.append(helper.make_node("Cast", [source], [result], name=f"{result}.cast", to=to))

    for name in sorted(constants):
        cast(name, f"{name}.widened", TensorProto.FLOAT)
    for node in graph.node:
        for place, name in enumerate(node.input):
            if name in constants:
                node.input[place] = f"{name}.widened"
        rounded = [name for name in node.output if name in half]
        for place, name in enumerate(node.output):
            if name in half:
                node.output[place] = f"{name}.exact"
        nodes.append(node)
        for name in rounded:
            already = node.op_type in ("Cast", "Constant", "ConstantOfShape")  # its result is float16 as it stands
            if not already:
                cast(f"{name}.exact", f"{name}.half", TensorProto.FLOAT16)
            cast(f"{name}.exact" if already else f"{name}.half", name, TensorProto.FLOAT)
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.value_info[:]  # their types were those of float16
    return model
