"""ELU between rounded values as one ONNX node, s2m_edge::QuantizedElu, whose meaning travels with the model.

ONNX Runtime joins no ELU with the DequantizeLinear before it and the QuantizeLinear behind it, so that an int8 model
spends more time on them than on its integer convolutions. Of 256 levels there are 256 answers: our kernel looks them
up. The node takes levels B x H x W x C, uint8; scale and zero point of what comes in, and of what goes out.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from s2m_edge.targets.onnx.spectral import DOMAIN, DOMAIN_VERSION, OPSET

if TYPE_CHECKING:
    import onnx

OPERATOR = "QuantizedElu"

FUNCTION = f"""
<domain: "{DOMAIN}", opset_import: ["" : {OPSET}]>
{OPERATOR} <alpha> (levels, scale, zero_point, new_scale, new_zero_point) => (rounded)
{{
    x = DequantizeLinear (levels, scale, zero_point)
    y = Elu <alpha: float = @alpha> (x)
    rounded = QuantizeLinear (y, new_scale, new_zero_point)
}}
"""


def quantized_elus_as_nodes(model: onnx.ModelProto) -> int:
    """Make one node of every DequantizeLinear, Elu, QuantizeLinear with scales that are constants; in place.

    The node stands between two transpositions, to channels last and back: the runtime's integer convolutions want
    channels last, and transpose before and behind themselves what it cannot push through a node that it does not know.
    So every pair cancels.

    Args:
        model: after `complete_quantization`.

    Returns:
        How many there are.
    """
    from onnx import helper, parser

    graph = model.graph
    producers = {name: node for node in graph.node for name in node.output}
    uses = Counter(name for node in graph.node for name in node.input)
    uses.update(entry.name for entry in graph.output)
    constants = {entry.name for entry in graph.initializer}
    joined: dict[int, list[onnx.NodeProto]] = {}
    dropped: set[int] = set()
    for last in graph.node:
        curve = producers.get(last.input[0]) if last.op_type == "QuantizeLinear" else None
        first = producers.get(curve.input[0]) if curve is not None and curve.op_type == "Elu" else None
        if curve is None or first is None or first.op_type != "DequantizeLinear":
            continue
        parameters = [*first.input[1:3], *last.input[1:3]]
        if uses[curve.output[0]] > 1 or uses[first.output[0]] > 1 or not constants.issuperset(parameters):
            continue
        name = curve.name or curve.output[0]
        inner, outer = f"{name}.levels", f"{name}.rounded"
        node = helper.make_node(OPERATOR, [inner, *parameters], [outer], name=name, domain=DOMAIN)
        node.attribute.append(helper.make_attribute("alpha", _alpha(curve)))
        node.metadata_props.extend(curve.metadata_props)  # whose module it is, for profilers
        joined[id(last)] = [
            helper.make_node("Transpose", [first.input[0]], [inner], name=inner, perm=[0, 2, 3, 1]),
            node,
            helper.make_node("Transpose", [outer], list(last.output), name=outer, perm=[0, 3, 1, 2]),
        ]
        dropped.update((id(first), id(curve)))
    if not joined:
        return 0
    nodes = [made for node in graph.node if id(node) not in dropped for made in joined.get(id(node), [node])]
    del graph.node[:]
    graph.node.extend(nodes)
    function = parser.parse_function(FUNCTION)
    function.doc_string = "ELU of rounded values, rounded"
    model.functions.append(function)
    if all(entry.domain != DOMAIN for entry in model.opset_import):
        model.opset_import.append(helper.make_opsetid(DOMAIN, DOMAIN_VERSION))
    return len(joined)


def _alpha(curve: onnx.NodeProto) -> float:
    return next((float(entry.f) for entry in curve.attribute if entry.name == "alpha"), 1.0)
