"""What coreai-torch is told about operators: which to keep whole, and how to lower those that it does not know.

It has no lowering for ELU, nor for the operators of PyTorch's quantized graphs. And PyTorch's decomposition of a matrix
product expands a constant factor over the batch: each matrix of the transform would be stored once for every channel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from math import prod
from operator import mul
from typing import Any

import numpy as np
import torch
from torch import Tensor

from s2m_edge.targets.coreai.backend import import_operations
from s2m_edge.targets.rewrites.operators import Rule
from s2m_edge.targets.rewrites.operators.calls import argument
from s2m_edge.targets.rewrites.operators.pooling import counted_windows, whole_windows
from s2m_edge.targets.rewrites.operators.sampling import sampling
from s2m_edge.targets.rewrites.operators.selecting import BY_TAKING

aten = torch.ops.aten
KEPT = (aten.matmul.default, aten.elu.default)
RESHAPES = (aten.view.default, aten.reshape.default, aten._unsafe_view.default)
COPIES = (*RESHAPES, aten.clone.default, aten.contiguous.default)
"""Give the values that they take."""


def decomposition_table() -> dict[Any, Any]:
    """coreai-torch's own table without the operators that `register_lowerings` lowers whole."""
    from coreai_torch import get_decomp_table

    table = {operator: rule for operator, rule in get_decomp_table().items() if operator not in KEPT}
    return {**table, **OWN}


def _adaptive_means(x: Tensor, output_size: Sequence[int]) -> Tensor:
    """aten.adaptive_avg_pool2d. PyTorch's own words for one mean set its strides, which coreai-torch does not know."""
    if all(length == 1 for length in output_size):
        return x.mean((-2, -1), keepdim=True)
    return aten._adaptive_avg_pool2d(x, output_size)


def _remainder(x: Tensor, other: Tensor | float) -> Tensor:
    return x - torch.div(x, other, rounding_mode="floor") * other


def _variance(
    x: Tensor, dim: Sequence[int] | None = None, *, correction: float | None = None, keepdim: bool = False
) -> Tensor:
    axes = list(range(x.dim())) if dim is None else [axis % x.dim() for axis in dim]
    count = prod(x.shape[axis] for axis in axes)
    squares = (x - x.mean(axes, keepdim=True)).square().sum(axes, keepdim=keepdim)
    return squares / (count - (1 if correction is None else correction))


def _is_no_number(x: Tensor) -> Tensor:
    return x != x


OWN: dict[Any, Callable[..., Any]] = {
    aten.adaptive_avg_pool2d.default: _adaptive_means,
    aten.isnan.default: _is_no_number,
    aten.remainder.Scalar: _remainder,
    aten.remainder.Tensor: _remainder,
    aten.var.correction: _variance,
}
"""Words for what coreai-torch 0.4.3 has neither a lowering nor a decomposition for."""


def lacking_operators() -> dict[Any, Rule]:
    """Rules for what coreai-torch lacks or lowers to other values, where how it is called decides."""
    return {
        **BY_TAKING,
        aten.avg_pool2d.default: counted_windows,
        aten.grid_sampler.default: sampling,
        aten.max_pool2d.default: whole_windows,
    }


def register_lowerings(converter: Any) -> None:
    """Teach a `coreai_torch.TorchConverter` the operators of `KEPT`, and those of PyTorch's quantized graphs."""
    for product in ("matmul", "bmm", "mm"):
        converter.register_torch_lowering(f"aten::{product}.default", allow_override=True)(_lower_matmul)
    converter.register_torch_lowering("aten::elu.default")(_lower_elu)
    quantized = "quantized_decomposed"
    converter.register_torch_lowering(f"{quantized}::quantize_per_tensor.default")(_lower_quantize)
    converter.register_torch_lowering(f"{quantized}::dequantize_per_tensor.default")(_lower_dequantize)
    converter.register_torch_lowering(f"{quantized}::dequantize_per_channel.default")(_lower_dequantize_channels)


def _lower_matmul(values: Mapping[str, Any], node: Any, location: Any) -> Any:
    """A product, with something between it and a second factor that is a flattened tensor.

    coreai-core 1.0.0b3 reads the pixels of a flattened picture in the wrong order where a matrix from the left meets it
    and it has as many channels as rows. Attention over positions is such a product.
    """
    coreai = import_operations()

    left, right = (values[argument.name] for argument in node.args)
    if _is_flattened(node.args[1]):
        lowest = coreai.constant(float("-inf"), dtype=right.type.element_type, loc=location)
        right = coreai.broadcasting_maximum(right, lowest, loc=location)
    return coreai.broadcasting_batch_matmul(left, right, loc=location)


def _is_flattened(node: Any) -> bool:
    """Whether a floating-point tensor is another with some of its axes joined, seen otherwise since or not."""
    if not (getattr(node.target, "is_view", False) or node.target in COPIES):
        return False
    before, after = node.args[0].meta["val"], node.meta["val"]
    joined = node.target in RESHAPES and not _bounds(before.shape) <= _bounds(after.shape)
    return before.is_floating_point() and (joined or _is_flattened(node.args[0]))


def _bounds(shape: Sequence[int]) -> set[int]:
    """After how many values, from the last axis on, an axis of a contiguous tensor ends."""
    return set(accumulate(reversed(shape), mul, initial=1))


def _lower_elu(values: Mapping[str, Any], node: Any, location: Any) -> Any:
    """scale (relu(x) + alpha (exp(input_scale min(x, 0)) - 1)): no comparison, no selection, and exp stays in half
    precision's range. Parameters that are 1, as of ELU itself, are left out."""
    coreai = import_operations()
    x = values[node.args[0].name]

    def constant(value: float) -> Any:
        return coreai.constant(float(value), dtype=x.type.element_type, loc=location)

    def scaled(y: Any, factor: float) -> Any:
        return y if factor == 1 else coreai.broadcasting_mul(y, constant(factor), loc=location)

    alpha, scale, input_scale = (argument(node, name) for name in ("alpha", "scale", "input_scale"))
    least = scaled(coreai.broadcasting_minimum(x, constant(0.0), loc=location), input_scale)
    negative = coreai.broadcasting_sub(coreai.exp(least, loc=location), constant(1.0), loc=location)
    whole = coreai.broadcasting_add(coreai.relu(x, loc=location), scaled(negative, alpha), loc=location)
    return scaled(whole, scale)


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
