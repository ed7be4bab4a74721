"""Mixed precision: arithmetic in float16 where half precision holds it, in float32 where it does not."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np

from s2m_edge.targets.onnx.backend import import_onnxruntime

if TYPE_CHECKING:
    import onnx

SUMS = (
    "AveragePool",
    "BatchNormalization",
    "CumSum",
    "GlobalAveragePool",
    "GlobalLpPool",
    "GroupNormalization",
    "Hardmax",
    "InstanceNormalization",
    "LayerNormalization",
    "LogSoftmax",
    "LpNormalization",
    "LpPool",
    "MeanVarianceNormalization",
    "RMSNormalization",
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceMean",
    "ReduceProd",
    "ReduceSum",
    "ReduceSumSquare",
    "Softmax",
)
"""Operators that add up maps, or take statistics of them: eleven bits of a sum of thousands are not enough."""
PRODUCTS = frozenset({"Conv", "ConvTranspose", "MatMul", "Gemm"})


def compute_in_float16(model: onnx.ModelProto, exact_modules: Collection[str]) -> onnx.ModelProto:
    """`model` with its arithmetic in float16, but for what half precision cannot hold; input and output stay float32.

    In float32 stay the nodes of `SUMS`; those of `exact_modules`; the first products, because a picture's levels are
    not exact in float16; everything from the last products to the output, logits and probabilities; and the nodes of
    our own domain, whose bodies are written for float32. So do the users of weights beyond float16's range. What
    overflows between, the parity gate shows.

    Args:
        model: used up. Its nodes are named by module (`name_nodes_by_module`).
        exact_modules: paths of modules as the nodes' names begin with them.
    """
    import onnx_ir as ir

    import_onnxruntime()
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16

    nodes = list(model.graph.node)
    exact = [node for node in nodes if node.domain or _is_of(node.name, exact_modules)]
    beyond = _beyond_half(model)
    exact += [node for node in nodes if beyond & set(node.input)]
    exact += _up_to_products(nodes, {entry.name for entry in model.graph.input}, backwards=False)
    exact += _up_to_products(nodes, {entry.name for entry in model.graph.output}, backwards=True)
    _forget_types_of_constants(model)
    converted = convert_float_to_float16(
        model,
        keep_io_types=True,
        op_block_list=[*DEFAULT_OP_BLOCK_LIST, *SUMS],
        node_block_list=[node.name for node in exact],
    )
    _keep_float32_between(converted)
    # The converter appends its casts behind all other nodes, and leaves types of values that it has changed.
    del converted.graph.value_info[:]
    sorted_model = ir.from_proto(converted)
    sorted_model.graph.sort()
    return ir.to_proto(sorted_model)


def _forget_types_of_constants(model: onnx.ModelProto) -> None:
    """The converter would believe them of constants that it leaves in float32, and convert those again; in place."""
    constants = {entry.name for entry in model.graph.initializer}
    kept = [entry for entry in model.graph.value_info if entry.name not in constants]
    del model.graph.value_info[:]
    model.graph.value_info.extend(kept)


def _keep_float32_between(model: onnx.ModelProto) -> None:
    """Undo the converter's way through float16 between two nodes, or a node and the output, in float32; in place."""
    from onnx import TensorProto

    graph = model.graph

    def casts(to: int) -> list[onnx.NodeProto]:
        return [node for node in graph.node if node.op_type == "Cast" and node.attribute[0].i == to]

    exact = {node.output[0]: node.input[0] for node in casts(TensorProto.FLOAT16)}
    outputs = {entry.name for entry in graph.output}
    names: dict[str, str] = {}
    for node in casts(TensorProto.FLOAT):
        if node.input[0] not in exact:
            continue
        source, result = exact[node.input[0]], node.output[0]
        names |= {source: result} if result in outputs else {result: source}
        graph.node.remove(node)
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    used = {name for node in graph.node for name in node.input} | outputs
    for node in casts(TensorProto.FLOAT16):
        if node.output[0] not in used:
            graph.node.remove(node)


def _is_of(node: str, modules: Collection[str]) -> bool:
    return any(node.startswith((f"{module}/", f"{module}.")) for module in modules)


def _beyond_half(model: onnx.ModelProto) -> set[str]:
    """Float32 initializers with a finite value that float16 does not reach."""
    from onnx import TensorProto, numpy_helper

    found = set()
    for entry in model.graph.initializer:
        if entry.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(entry)
        if np.abs(values[np.isfinite(values)]).max(initial=0.0) > np.finfo(np.float16).max:
            found.add(entry.name)
    return found


def _up_to_products(nodes: list[onnx.NodeProto], values: set[str], *, backwards: bool) -> list[onnx.NodeProto]:
    """The nodes between `values` and the next products, those included, along the graph or against it."""
    found: list[onnx.NodeProto] = []
    reached = set(values)
    for node in reversed(nodes) if backwards else nodes:
        near, far = (node.output, node.input) if backwards else (node.input, node.output)
        if reached.isdisjoint(near):
            continue
        found.append(node)
        if node.op_type not in PRODUCTS:
            reached.update(far)
    return found
