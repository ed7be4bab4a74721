"""The MIL operations that the evaluator knows, each in a few lines of torch.

Semantics: the operation reference of opset CoreML7 (iOS 17) in coremltools' documentation. Everything is computed in
float32; the program rounds each result to the operation's own precision.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from s2m_edge.errors import LoweringError
from s2m_edge.targets.coreml.evaluator import layers
from s2m_edge.targets.coreml.evaluator.arguments import Arguments
from s2m_edge.targets.coreml.evaluator.values import MIL_NAMES


def _like_x(arguments: Arguments) -> torch.dtype:
    return arguments.tensor("x").dtype


@dataclass(frozen=True)
class Operation:
    """One entry of the table.

    Attributes:
        compute: the result in float32 (or in the input's type where nothing is computed).
        required, optional: its parameters; any other is refused.
        result_dtype: the precision that the result has by the operation's definition.
    """

    compute: Callable[[Arguments], Tensor]
    required: frozenset[str]
    optional: frozenset[str] = frozenset()
    result_dtype: Callable[[Arguments], torch.dtype] = _like_x


def _convolution(a: Arguments) -> Tensor:
    x, weight = a.floating("x"), a.floating("weight")
    if x.dim() != 4:
        raise a.refuse("x of rank", x.dim(), "convolutions over two axes")
    pad_type, pad = a.text("pad_type", "valid"), a.integers("pad", [0, 0, 0, 0])
    if pad_type not in ("valid", "custom", "same"):
        raise a.refuse("pad_type", pad_type, "valid, custom and same")
    if pad_type == "valid" and any(pad):
        raise a.refuse("pad", f"{pad} with pad_type valid", "padding with pad_type custom")
    strides, dilations = a.integers("strides", [1, 1]), a.integers("dilations", [1, 1])
    if pad_type == "same":
        if strides != [1, 1]:
            raise a.refuse("strides", f"{strides} with pad_type same", "strides of 1 with it")
        sums = [step * (size - 1) for step, size in zip(dilations, weight.shape[2:], strict=True)]
        pad = [part for total in sums for part in (total // 2, total - total // 2)]  # the odd one at the end
    top, bottom, left, right = pad
    if top != bottom or left != right:
        x, top, left = F.pad(x, (left, right, top, bottom)), 0, 0
    bias, groups = a.optional_floating("bias"), a.integer("groups", 1)
    return F.conv2d(x, weight, bias, strides, [top, left], dilations, groups)


def _layer_norm(a: Arguments) -> Tensor:
    x = a.floating("x")
    axes = sorted(axis % x.dim() for axis in a.integers("axes", list(range(x.dim()))))
    if axes != list(range(x.dim() - len(axes), x.dim())):
        raise a.refuse("axes", axes, "normalisation over the last axes")
    mean = x.mean(axes, keepdim=True)
    variance = (x - mean).square().mean(axes, keepdim=True)
    y = (x - mean) / torch.sqrt(variance + a.number("epsilon", 1e-5))
    gamma, beta = a.optional_floating("gamma"), a.optional_floating("beta")
    y = y if gamma is None else y * gamma
    return y if beta is None else y + beta


def _elementwise(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Arguments], Tensor]:
    def compute(a: Arguments) -> Tensor:
        if a.tensor("x").dtype != a.tensor("y").dtype:
            raise a.refuse("x and y", f"{a.tensor('x').dtype} and {a.tensor('y').dtype}", "one type for both")
        return function(a.floating("x"), a.floating("y"))

    return compute


def _concat(a: Arguments) -> Tensor:
    values = a.tensors("values")
    if a.flag("interleave", False):
        raise a.refuse("interleave", "true", "plain concatenation")
    if len({value.dtype for value in values}) != 1:
        raise a.refuse("values", [str(value.dtype) for value in values], "one type for all")
    return torch.cat(values, a.integer("axis", 0))


def _slice_by_index(a: Arguments) -> Tensor:
    x = a.tensor("x")
    rank = x.dim()
    begin, end, stride = a.integers("begin"), a.integers("end"), a.integers("stride", [1] * rank)
    if min(stride) < 1:
        raise a.refuse("stride", stride, "positive strides")
    if any(a.flags("squeeze_mask", rank)):
        raise a.refuse("squeeze_mask", a.flags("squeeze_mask", rank), "slices that keep every axis")
    from_start, to_end = a.flags("begin_mask", rank), a.flags("end_mask", rank)
    spans = (
        slice(None if from_start[axis] else begin[axis], None if to_end[axis] else end[axis], stride[axis])
        for axis in range(rank)
    )
    return x[tuple(spans)]


def _matmul(a: Arguments) -> Tensor:
    x, y = a.floating("x"), a.floating("y")
    x = x.transpose(-2, -1) if a.flag("transpose_x", False) else x
    y = y.transpose(-2, -1) if a.flag("transpose_y", False) else y
    return x @ y


def _scaled_size(a: Arguments, x: Tensor) -> list[int]:
    factors = (a.number("scale_factor_height", 1.0), a.number("scale_factor_width", 1.0))
    return [math.floor(length * factor) for length, factor in zip(x.shape[-2:], factors, strict=True)]


def _upsample_bilinear(a: Arguments) -> Tensor:
    x = a.floating("x")
    corners = a.flag("align_corners", True)
    return F.interpolate(x, _scaled_size(a, x), mode="bilinear", align_corners=corners)


def _upsample_nearest(a: Arguments) -> Tensor:
    x = a.floating("x")
    for name in ("scale_factor_height", "scale_factor_width"):
        factor = a.number(name, 1.0)
        if factor != int(factor) or factor < 1:
            raise a.refuse(name, factor, "whole factors")
    return F.interpolate(x, _scaled_size(a, x), mode="nearest")


def _cast_dtype(a: Arguments) -> torch.dtype:
    name = a.text("dtype", "")
    if name not in MIL_NAMES:
        raise a.refuse("dtype", name, ", ".join(MIL_NAMES))
    return MIL_NAMES[name]


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


def _scale_dtype(a: Arguments) -> torch.dtype:
    return a.tensor("scale").dtype


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


def _reduce_mean(a: Arguments) -> Tensor:
    x = a.floating("x")
    return x.mean(a.integers("axes", list(range(x.dim()))), keepdim=a.flag("keep_dims", False))


_POOL = frozenset({"strides", "pad_type", "pad", "ceil_mode"})
_CONVOLUTION = frozenset({"strides", "pad_type", "pad", "dilations", "groups", "bias"})
_X, _XY, _SCALES = frozenset({"x"}), frozenset({"x", "y"}), frozenset({"scale_factor_height", "scale_factor_width"})

OPERATIONS: dict[str, Operation] = {
    "add": Operation(_elementwise(torch.add), _XY),
    "cast": Operation(lambda a: a.tensor("x"), _X | {"dtype"}, result_dtype=_cast_dtype),
    "concat": Operation(
        _concat,
        frozenset({"values", "axis"}),
        frozenset({"interleave"}),
        result_dtype=lambda a: a.tensors("values")[0].dtype,
    ),
    "constexpr_affine_dequantize": Operation(
        _dequantize("quantized_data"),
        frozenset({"quantized_data", "scale", "zero_point", "axis"}),
        result_dtype=_scale_dtype,
    ),
    "constexpr_lut_to_dense": Operation(
        _palette, frozenset({"indices", "lut", "shape"}), result_dtype=lambda a: a.tensor("lut").dtype
    ),
    "conv": Operation(_convolution, _X | {"weight"}, _CONVOLUTION),
    "dequantize": Operation(
        _dequantize("input"), frozenset({"input", "scale"}), frozenset({"zero_point", "axis"}), _scale_dtype
    ),
    "elu": Operation(lambda a: F.elu(a.floating("x"), a.number("alpha", 1.0)), _X | {"alpha"}),
    "layer_norm": Operation(_layer_norm, _X, frozenset({"axes", "gamma", "beta", "epsilon"})),
    "linear": Operation(
        lambda a: F.linear(a.floating("x"), a.floating("weight"), a.optional_floating("bias")),
        _X | {"weight"},
        frozenset({"bias"}),
    ),
    "matmul": Operation(_matmul, _XY, frozenset({"transpose_x", "transpose_y"})),
    "mul": Operation(_elementwise(torch.mul), _XY),
    "quantize": Operation(
        _quantize, frozenset({"input", "scale", "output_dtype"}), frozenset({"zero_point", "axis"}), _quantized_dtype
    ),
    "reduce_mean": Operation(_reduce_mean, _X, frozenset({"axes", "keep_dims"})),
    "relu": Operation(lambda a: a.floating("x").relu(), _X),
    "sigmoid": Operation(lambda a: a.floating("x").sigmoid(), _X),
    "slice_by_index": Operation(
        _slice_by_index, _X | {"begin", "end"}, frozenset({"stride", "begin_mask", "end_mask", "squeeze_mask"})
    ),
    "softmax": Operation(lambda a: a.floating("x").softmax(a.integer("axis", -1)), _X, frozenset({"axis"})),
    "sub": Operation(_elementwise(torch.sub), _XY),
    "transpose": Operation(lambda a: a.tensor("x").permute(a.integers("perm")), _X | {"perm"}),
    "avg_pool": Operation(layers.average_pool, _X | {"kernel_sizes"}, _POOL | {"exclude_padding_from_average"}),
    "batch_norm": Operation(layers.batch_norm, _X | {"mean", "variance"}, frozenset({"gamma", "beta", "epsilon"})),
    "clip": Operation(
        lambda a: a.floating("x").clamp(a.number("alpha", 0.0), a.number("beta", 1.0)), _X | {"alpha", "beta"}
    ),
    "conv_transpose": Operation(layers.transposed_convolution, _X | {"weight"}, _CONVOLUTION | {"output_shape"}),
    "exp": Operation(lambda a: a.floating("x").exp(), _X),
    "expand_dims": Operation(layers.expand_dims, _X | {"axes"}),
    "gelu": Operation(layers.gelu, _X, frozenset({"mode"})),
    "identity": Operation(lambda a: a.tensor("x"), _X),
    "instance_norm": Operation(layers.instance_norm, _X, frozenset({"gamma", "beta", "epsilon"})),
    "leaky_relu": Operation(lambda a: F.leaky_relu(a.floating("x"), a.number("alpha", 0.01)), _X | {"alpha"}),
    "max_pool": Operation(layers.max_pool, _X | {"kernel_sizes"}, _POOL),
    "maximum": Operation(_elementwise(torch.maximum), _XY),
    "minimum": Operation(_elementwise(torch.minimum), _XY),
    "pad": Operation(layers.pad, _X | {"pad"}, frozenset({"mode", "constant_val"})),
    "pow": Operation(_elementwise(torch.pow), _XY),
    "real_div": Operation(_elementwise(torch.div), _XY),
    "reduce_sum": Operation(layers.reduce_sum, _X, frozenset({"axes", "keep_dims"})),
    "relu6": Operation(lambda a: F.relu6(a.floating("x")), _X),
    "reshape": Operation(layers.reshape, _X | {"shape"}),
    "rsqrt": Operation(lambda a: (a.floating("x") + a.number("epsilon", 1e-12)).rsqrt(), _X, frozenset({"epsilon"})),
    "sigmoid_hard": Operation(
        lambda a: (a.floating("x") * a.number("alpha", 0.2) + a.number("beta", 0.5)).clamp(0, 1), _X | {"alpha", "beta"}
    ),
    "silu": Operation(lambda a: F.silu(a.floating("x")), _X),
    "sqrt": Operation(lambda a: a.floating("x").sqrt(), _X),
    "square": Operation(lambda a: a.floating("x").square(), _X),
    "squeeze": Operation(layers.squeeze, _X, frozenset({"axes"})),
    "tanh": Operation(lambda a: a.floating("x").tanh(), _X),
    "thresholded_relu": Operation(layers.thresholded_relu, _X, frozenset({"alpha"})),
    "upsample_bilinear": Operation(_upsample_bilinear, _X, _SCALES | {"align_corners"}),
    "upsample_nearest_neighbor": Operation(_upsample_nearest, _X, _SCALES),
}


def find_operation(kind: str, parameters: frozenset[str], label: str) -> Operation:
    """The table's entry for an operation with these parameters.

    Raises:
        LoweringError: the operation or one of its parameters is unknown, or a required one is absent.
    """
    operation = OPERATIONS.get(kind)
    if operation is None:
        raise LoweringError(
            f"the evaluator does not know the operation {label}", f"It knows {', '.join(sorted(OPERATIONS))}."
        )
    unknown = sorted(parameters - operation.required - operation.optional)
    if unknown:
        known = ", ".join(sorted(operation.required | operation.optional))
        raise LoweringError(
            f"the operation {label} has the unknown parameter {unknown[0]}", f"The evaluator knows {known}."
        )
    absent = sorted(operation.required - parameters)
    if absent:
        raise LoweringError(f"the operation {label} lacks its parameter {absent[0]}", "Export the package again.")
    return operation
