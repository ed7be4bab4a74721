"""The 1x1 convolution of a concatenation as a sum of convolutions: W [a; b] = Wa a + Wb b, equal to rounding.

Where channels lie last, the plugin's concatenation copies every pixel into the network's largest tensor, which the
convolution reads once more; a convolution adds its result to another's as it writes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import openvino
    from numpy.typing import NDArray

CHANNELS = 1


def sum_branches(model: openvino.Model) -> int:
    """Rewrite every such pair of `model`, in place. A concatenation that something else reads too is left alone.

    Returns:
        How many convolutions were rewritten.
    """
    from openvino import opset13

    count = 0
    for node in model.get_ordered_ops():
        found = _pair(node)
        if found is None:
            continue
        joined, weights = found
        parts: list[Any] = []
        begin = 0
        for branch in joined.input_values():
            end = begin + branch.get_partial_shape()[CHANNELS].get_length()
            share = opset13.constant(np.ascontiguousarray(weights[:, begin:end]))
            parts.append(opset13.convolution(branch, share, [1, 1], [0, 0], [0, 0], [1, 1]))
            begin = end
        total = parts[0]
        for part in parts[1:]:
            total = opset13.add(total, part)
        total.set_friendly_name(node.get_friendly_name())
        for reader in node.output(0).get_target_inputs():
            reader.replace_source_output(total.output(0))
        count += 1
    if count:
        model.validate_nodes_and_infer_types()
    return count


def _pair(node: Any) -> tuple[Any, NDArray[np.float32]] | None:
    """The concatenation before `node` and its weights O x I x 1 x 1, if it is a 1x1 convolution of nothing else."""
    if node.get_type_name() != "Convolution":
        return None
    facts = node.get_attributes()
    plain = {"strides": [1, 1], "pads_begin": [0, 0], "pads_end": [0, 0]}
    joined = node.input_value(0).get_node()
    if joined.get_type_name() != "Concat" or joined.get_attributes()["axis"] != CHANNELS:
        return None
    if any(list(facts[key]) != value for key, value in plain.items()):
        return None
    if len(joined.output(0).get_target_inputs()) != 1:
        return None
    weights = _constant(node.input_value(1).get_node())
    return None if weights is None or weights.shape[2:] != (1, 1) else (joined, weights)


def _constant(node: Any) -> NDArray[np.float32] | None:
    """A constant's values, also of one that is stored in half precision and widened; None where it is none."""
    if node.get_type_name() == "Convert":
        node = node.input_value(0).get_node()
    if node.get_type_name() != "Constant" or node.get_element_type().get_type_name() not in ("f32", "f16"):
        return None
    return np.asarray(node.data, dtype=np.float32)
