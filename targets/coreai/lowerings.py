"""What coreai-torch is told about operators: which to keep whole, and how to lower those that it does not know.

It has no lowering for ELU, nor for the operators of PyTorch's quantized graphs. And PyTorch's decomposition of a matrix
product expands a constant factor over the batch: each matrix of the transform would be stored once for every channel.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from s2m_edge.targets.coreai.backend import import_operations

KEPT = (torch.ops.aten.matmul.default, torch.ops.aten.elu.default)


def decomposition_table() -> dict[Any, Any]:
    """coreai-torch's own table without the operators that `register_lowerings` lowers whole."""
    from coreai_torch import get_decomp_table

    return {operator: rule for operator, rule in get_decomp_table().items() if operator not in KEPT}


def register_lowerings(converter: Any) -> None:
    """Teach a `coreai_torch.TorchConverter` the operators of `KEPT`, and those of PyTorch's quantized graphs."""
    converter.register_torch_lowering("aten::matmul.default")(_lower_matmul)
    converter.register_torch_lowering("aten::elu.default")(_lower_elu)
    quantized = "quantized_decomposed"
    converter.register_torch_lowering(f"{quantized}::quantize_per_tensor.default")(_lower_quantize)
    converter.register_torch_lowering(f"{quantized}::dequantize_per_tensor.default")(_lower_dequantize)
    converter.register_torch_lowering(f"{quantized}::dequantize_per_channel.default")(_lower_dequantize_channels)


def _lower_matmul(values: Mapping[str, Any], node: Any, location: Any) -> Any:
    coreai = import_operations()

    left, right = (values[argument.name] for argument in node.args)
    return coreai.broadcasting_batch_matmul(left, right, loc=location)


def _lower_elu(values: Mapping[str, Any], node: Any, location: Any) -> Any:
    """relu(x) + (exp(min(x, 0)) - 1): no comparison, no selection, and exp stays in half precision's range."""
    coreai = import_operations()

    if any(parameter != 1 for parameter in (*node.args[1:], *node.kwargs.values())):
        raise NotImplementedError(f"ELU with {node.args[1:]}, {node.kwargs}")
    x = values[node.args[0].name]
    zero, one = (coreai.constant(value, dtype=x.type.element_type, loc=location) for value in (0.0, 1.0))
    falling = coreai.exp(coreai.broadcasting_minimum(x, zero, loc=location), loc=location)
    negative = coreai.broadcasting_sub(falling, one, loc=location)
    return coreai.broadcasting_add(coreai.relu(x, loc=location), negative, loc=location)


def _lower_quantize(values: Mapping[str, Any], node: Any, location: Any) -> Any:
    """quantize_per_tensor(x, scale, zero_point, lowest, highest, dtype)."""
    coreai = import_operations()
    x, (scale, zero_point, lowest, highest, dtype) = values[node.args[0].name], node.args[1:]
    _require_int8(lowest, highest, dtype)
    offset = coreai.constant(np.array(zero_point, dtype=np.int8), loc=location)
    return coreai.quantize(x, *_scale_and_offsets(scale, offset, location), _axis(0, location), loc=location)


def _lower_dequantize(values: Mapping[str, Any], node: Any, location: Any) -> Any:
    """dequantize_per_tensor(x, scale, zero_point, lowest, highest, dtype)."""
    coreai = import_operations()
    x, (scale, zero_point, lowest, highest, dtype) = values[node.args[0].name], node.args[1:]
    _require_int8(lowest, highest, dtype)
    offset = coreai.constant(np.array(zero_point, dtype=np.int8), loc=location)
    return coreai.dequantize(x, *_scale_and_offsets(scale, offset, location), _axis(0, location), loc=location)


def _lower_dequantize_channels(values: Mapping[str, Any], node: Any, location: Any) -> Any:
    """dequantize_per_channel(x, scales, zero_points, axis, lowest, highest, dtype), its zero points being zero: those
    of weights are, and they reach a lowering without their values."""
    coreai = import_operations()
    x, scales, axis = values[node.args[0].name], values[node.args[1].name], node.args[3]
    channels = scales.type.shape
    offset = coreai.constant(np.zeros(channels, dtype=np.int8), loc=location)
    nothing = coreai.constant(np.zeros(channels, dtype=np.float32), loc=location)
    return coreai.dequantize(x, scales, offset, nothing, _axis(axis, location), loc=location)


def _scale_and_offsets(scale: float, offset: Any, location: Any) -> tuple[Any, Any, Any]:
    coreai = import_operations()
    scale_value, nothing = (coreai.constant(np.array(value, np.float32), loc=location) for value in (scale, 0.0))
    return scale_value, offset, nothing


def _axis(axis: int, location: Any) -> Any:
    return import_operations().constant(np.array(axis, dtype=np.int32), loc=location)


def _require_int8(lowest: int, highest: int, dtype: torch.dtype) -> None:
    if (lowest, highest, dtype) != (-128, 127, torch.int8):
        raise NotImplementedError(f"quantization to {dtype} from {lowest} to {highest}")
