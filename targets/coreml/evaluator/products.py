"""MIL operations that multiply and add: convolutions, matrix products, pooling."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from s2m_edge.targets.coreml.evaluator.arguments import Arguments
from s2m_edge.targets.coreml.evaluator.operation import XY, Operation, X, like


def _spatial_axes(a: Arguments, x: Tensor, what: str) -> int:
    """How many axes lie behind batch and channels: one, two or three."""
    if x.dim() not in (3, 4, 5):
        raise a.refuse("x of rank", x.dim(), f"{what} over one to three axes")
    return x.dim() - 2


def _padding(a: Arguments, axes: int, known: tuple[str, ...]) -> tuple[str, list[int]]:
    """The kind of padding, and the lengths before and after each axis."""
    pad_type, pad = a.text("pad_type", "valid"), a.integers("pad", [0] * 2 * axes)
    if pad_type not in known:
        raise a.refuse("pad_type", pad_type, f"{', '.join(known[:-1])} and {known[-1]}")
    if pad_type == "valid" and any(pad):
        raise a.refuse("pad", f"{pad} with pad_type valid", "padding with pad_type custom")
    return pad_type, pad


def _last_axis_first(pad: list[int]) -> list[int]:
    """Pairs in the order of `F.pad`."""
    return [length for at in range(len(pad) - 2, -1, -2) for length in pad[at : at + 2]]


def _convolution(a: Arguments) -> Tensor:
    x, weight = a.floating("x"), a.floating("weight")
    axes = _spatial_axes(a, x, "convolutions")
    pad_type, pad = _padding(a, axes, ("valid", "custom", "same"))
    strides, dilations = a.integers("strides", [1] * axes), a.integers("dilations", [1] * axes)
    if pad_type == "same":
        if any(step != 1 for step in strides):
            raise a.refuse("strides", f"{strides} with pad_type same", "strides of 1 with it")
        sums = [step * (size - 1) for step, size in zip(dilations, weight.shape[2:], strict=True)]
        pad = [part for total in sums for part in (total // 2, total - total // 2)]  # the odd one at the end
    before, after = pad[::2], pad[1::2]
    if before != after:
        x, before = F.pad(x, _last_axis_first(pad)), [0] * axes
    bias, groups = a.optional_floating("bias"), a.integer("groups", 1)
    return torch.convolution(x, weight, bias, strides, before, dilations, False, [0] * axes, groups)


def _transposed_convolution(a: Arguments) -> Tensor:
    """The whole transposed convolution with the padding cut off; weight: inputs x outputs / groups x lengths."""
    x, weight = a.floating("x"), a.floating("weight")
    axes = _spatial_axes(a, x, "convolutions")
    _, pad = _padding(a, axes, ("valid", "custom"))
    strides, dilations = a.integers("strides", [1] * axes), a.integers("dilations", [1] * axes)
    bias, groups, none = a.optional_floating("bias"), a.integer("groups", 1), [0] * axes
    whole = torch.convolution(x, weight, bias, strides, none, dilations, True, none, groups)
    spans = [
        slice(first, length - last) for length, first, last in zip(whole.shape[2:], pad[::2], pad[1::2], strict=True)
    ]
    cut = whole[(..., *spans)]
    wanted = a.integers("output_shape", list(cut.shape))
    if wanted != list(cut.shape):
        raise a.refuse("output_shape", wanted, f"the shape that follows from the padding, {list(cut.shape)}")
    return cut


@dataclass(frozen=True)
class _Window:
    """Of a pooling: lengths for each axis, padding before and after each."""

    kernel: list[int]
    strides: list[int]
    pad: list[int]
    rounded_up: bool

    @classmethod
    def of(cls, a: Arguments, x: Tensor) -> _Window:
        axes = _spatial_axes(a, x, "pooling")
        _, pad = _padding(a, axes, ("valid", "custom"))
        rounded_up = a.flag("ceil_mode", False)
        if rounded_up and pad[::2] != pad[1::2]:
            raise a.refuse("pad", f"{pad} with ceil_mode", "even padding with it")
        return cls(a.integers("kernel_sizes"), a.integers("strides", [1] * axes), pad, rounded_up)


def _max_pool(a: Arguments) -> Tensor:
    x = a.floating("x")
    window = _Window.of(a, x)
    pool = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[x.dim() - 3]
    if window.rounded_up:
        return pool(x, window.kernel, window.strides, window.pad[::2], ceil_mode=True)
    return pool(F.pad(x, _last_axis_first(window.pad), value=-math.inf), window.kernel, window.strides)


def _average_pool(a: Arguments) -> Tensor:
    x, padding_counts = a.floating("x"), not a.flag("exclude_padding_from_average", False)
    window = _Window.of(a, x)
    pool = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[x.dim() - 3]
    if window.rounded_up:  # as PyTorch counts what a window has beyond the padding: not at all
        return pool(x, window.kernel, window.strides, window.pad[::2], True, padding_counts)
    padding = _last_axis_first(window.pad)
    total = pool(F.pad(x, padding), window.kernel, window.strides)
    if padding_counts:
        return total
    return total / pool(F.pad(torch.ones_like(x), padding), window.kernel, window.strides)


def _matmul(a: Arguments) -> Tensor:
    x, y = a.floating("x"), a.floating("y")
    x = x.transpose(-2, -1) if a.flag("transpose_x", False) else x
    y = y.transpose(-2, -1) if a.flag("transpose_y", False) else y
    return x @ y


def _einsum(a: Arguments) -> Tensor:
    values = a.tensors("values")
    if any(not value.is_floating_point() for value in values):
        raise a.refuse("values", [str(value.dtype) for value in values], "products of floats")
    return torch.einsum(a.text("equation", ""), *(value.float() for value in values))


_POOL = frozenset({"strides", "pad_type", "pad", "ceil_mode"})
_CONVOLUTION = frozenset({"strides", "pad_type", "pad", "dilations", "groups", "bias"})

TABLE: dict[str, Operation] = {
    "conv": Operation(_convolution, X | {"weight"}, _CONVOLUTION),
    "conv_transpose": Operation(_transposed_convolution, X | {"weight"}, _CONVOLUTION | {"output_shape"}),
    "max_pool": Operation(_max_pool, X | {"kernel_sizes"}, _POOL),
    "avg_pool": Operation(_average_pool, X | {"kernel_sizes"}, _POOL | {"exclude_padding_from_average"}),
    "linear": Operation(
        lambda a: F.linear(a.floating("x"), a.floating("weight"), a.optional_floating("bias")),
        X | {"weight"},
        frozenset({"bias"}),
    ),
    "matmul": Operation(_matmul, XY, frozenset({"transpose_x", "transpose_y"})),
    "einsum": Operation(_einsum, frozenset({"values", "equation"}), result_dtype=like("values")),
}
