"""MIL operations of int8 and of compressed weights."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from s2m_edge.targets.coreml.evaluator.arguments import Arguments
from s2m_edge.targets.coreml.evaluator.operation import Operation, like
from s2m_edge.targets.coreml.evaluator.values import MIL_NAMES


def _along_axis(a: Arguments, name: str, like: Tensor) -> Tensor:
    """A scale or zero point: of the whole tensor, or one per position of an axis."""
    value = a.tensor(name).to(torch.float32)
    if value.dim() == 0:
        return value
    if value.dim() != 1:
        raise a.refuse(name, f"rank {value.dim()}", "one value, or one per position of an axis")
    shape = [1] * like.dim()
    shape[a.integer("axis", 0)] = -1
    return value.reshape(shape)


def _quantized_dtype(a: Arguments) -> torch.dtype:
    dtype = MIL_NAMES.get(a.text("output_dtype", ""))
    if dtype not in (torch.int8, torch.uint8):
        raise a.refuse("output_dtype", dtype, "int8 and uint8")
    return dtype


def _quantize(a: Arguments) -> Tensor:
    x, limits = a.floating("input"), torch.iinfo(_quantized_dtype(a))
    zero_point = _along_axis(a, "zero_point", x) if a.has("zero_point") else torch.tensor(0.0)
    return (torch.round(x / _along_axis(a, "scale", x)) + zero_point).clamp(limits.min, limits.max)


def _dequantize(data: str) -> Callable[[Arguments], Tensor]:
    def compute(a: Arguments) -> Tensor:
        x = a.tensor(data)
        if x.dtype not in (torch.int8, torch.uint8):
            raise a.refuse(data, x.dtype, "int8 and uint8")
        zero_point = _along_axis(a, "zero_point", x) if a.has("zero_point") else torch.tensor(0.0)
        if a.has("zero_point") and a.tensor("zero_point").dtype != x.dtype:
            raise a.refuse("zero_point", a.tensor("zero_point").dtype, f"the type of {data}, {x.dtype}")
        return (x.to(torch.float32) - zero_point) * _along_axis(a, "scale", x)

    return compute


def _palette(a: Arguments) -> Tensor:
    """constexpr_lut_to_dense: indices of b bits, packed from the lowest bit up, into a table of 2^b values."""
    table, packed, shape = a.tensor("lut"), a.tensor("indices"), a.integers("shape")
    bits = int(math.log2(table.numel()))
    if 2**bits != table.numel() or packed.dtype != torch.uint8:
        raise a.refuse("lut", f"{table.numel()} values, indices {packed.dtype}", "powers of two and packed bytes")
    streams = packed[:, None].bitwise_right_shift(torch.arange(8, dtype=torch.uint8)) & 1
    count = math.prod(shape)
    groups = streams.flatten()[: count * bits].reshape(count, bits).long()
    if groups.shape[0] != count:
        raise a.refuse("indices", f"{packed.numel()} bytes", f"{count} indices of {bits} bits")
    return table[(groups << torch.arange(bits)).sum(1)].reshape(shape)


TABLE: dict[str, Operation] = {
    "quantize": Operation(
        _quantize, frozenset({"input", "scale", "output_dtype"}), frozenset({"zero_point", "axis"}), _quantized_dtype
    ),
    "dequantize": Operation(
        _dequantize("input"), frozenset({"input", "scale"}), frozenset({"zero_point", "axis"}), like("scale")
    ),
    "constexpr_affine_dequantize": Operation(
        _dequantize("quantized_data"),
        frozenset({"quantized_data", "scale", "zero_point", "axis"}),
        result_dtype=like("scale"),
    ),
    "constexpr_lut_to_dense": Operation(_palette, frozenset({"indices", "lut", "shape"}), result_dtype=like("lut")),
}
