"""Further MIL operations, of networks that are not S2M-Net: pooling, normalisation, transposed convolutions, curves.

Semantics as in `operations`, of which this is the continuation.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from s2m_edge.targets.coreml.evaluator.arguments import Arguments


def _window(a: Arguments, x: Tensor) -> tuple[list[int], list[int], list[int]]:
    """Kernel, strides and padding (top, bottom, left, right) of a pooling over two axes."""
    if x.dim() != 4:
        raise a.refuse("x of rank", x.dim(), "pooling over two axes")
    kernel = a.integers("kernel_sizes")
    pad_type, pad = a.text("pad_type", "valid"), a.integers("pad", [0, 0, 0, 0])
    if pad_type not in ("valid", "custom"):
        raise a.refuse("pad_type", pad_type, "valid and custom")
    if a.flag("ceil_mode", False):
        raise a.refuse("ceil_mode", "true", "sizes that are rounded down")
    return kernel, a.integers("strides", kernel), pad if pad_type == "custom" else [0, 0, 0, 0]


def max_pool(a: Arguments) -> Tensor:
    x = a.floating("x")
    kernel, strides, (top, bottom, left, right) = _window(a, x)
    return F.max_pool2d(F.pad(x, (left, right, top, bottom), value=-math.inf), kernel, strides)


def average_pool(a: Arguments) -> Tensor:
    x = a.floating("x")
    kernel, strides, (top, bottom, left, right) = _window(a, x)
    padding = (left, right, top, bottom)
    total = F.avg_pool2d(F.pad(x, padding), kernel, strides)
    if not a.flag("exclude_padding_from_average", False):
        return total
    return total / F.avg_pool2d(F.pad(torch.ones_like(x), padding), kernel, strides)


def thresholded_relu(a: Arguments) -> Tensor:
    """x from alpha on, 0 below; Hardswish becomes one of these, with an alpha below 0."""
    x = a.floating("x")
    return torch.where(x >= a.number("alpha", 1.0), x, torch.zeros_like(x))


def instance_norm(a: Arguments) -> Tensor:
    """Over every axis behind the channels, of each picture and channel."""
    x = a.floating("x")
    axes = list(range(2, x.dim()))
    mean = x.mean(axes, keepdim=True)
    variance = (x - mean).square().mean(axes, keepdim=True)
    y = (x - mean) / torch.sqrt(variance + a.number("epsilon", 1e-5))
    shape = [1, -1, *[1] * len(axes)]
    gamma, beta = a.optional_floating("gamma"), a.optional_floating("beta")
    y = y if gamma is None else y * gamma.reshape(shape)
    return y if beta is None else y + beta.reshape(shape)


def batch_norm(a: Arguments) -> Tensor:
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta, one of each for a channel."""
    x = a.floating("x")
    shape = [1, -1, *[1] * (x.dim() - 2)]
    mean, variance = a.floating("mean").reshape(shape), a.floating("variance").reshape(shape)
    y = (x - mean) / torch.sqrt(variance + a.number("epsilon", 1e-5))
    gamma, beta = a.optional_floating("gamma"), a.optional_floating("beta")
    y = y if gamma is None else y * gamma.reshape(shape)
    return y if beta is None else y + beta.reshape(shape)


def transposed_convolution(a: Arguments) -> Tensor:
    """The whole transposed convolution with the padding cut off; weight: inputs x outputs / groups x height x width."""
    x, weight = a.floating("x"), a.floating("weight")
    if x.dim() != 4:
        raise a.refuse("x of rank", x.dim(), "convolutions over two axes")
    pad_type, pad = a.text("pad_type", "valid"), a.integers("pad", [0, 0, 0, 0])
    if pad_type not in ("valid", "custom"):
        raise a.refuse("pad_type", pad_type, "valid and custom")
    top, bottom, left, right = pad if pad_type == "custom" else [0, 0, 0, 0]
    strides, dilations = a.integers("strides", [1, 1]), a.integers("dilations", [1, 1])
    whole = F.conv_transpose2d(x, weight, a.optional_floating("bias"), strides, 0, 0, a.integer("groups", 1), dilations)
    height, width = whole.shape[-2:]
    cut = whole[..., top : height - bottom, left : width - right]
    wanted = a.integers("output_shape", list(cut.shape))
    if wanted != list(cut.shape):
        raise a.refuse("output_shape", wanted, f"the shape that follows from the padding, {list(cut.shape)}")
    return cut


def reshape(a: Arguments) -> Tensor:
    """-1 stands for what is left, 0 for the length that the axis has."""
    x, wanted = a.tensor("x"), a.integers("shape")
    return x.reshape([x.shape[axis] if length == 0 else length for axis, length in enumerate(wanted)])


def expand_dims(a: Arguments) -> Tensor:
    x, axes = a.tensor("x"), a.integers("axes")
    for axis in sorted(value % (x.dim() + len(axes)) for value in axes):
        x = x.unsqueeze(axis)
    return x


def squeeze(a: Arguments) -> Tensor:
    x = a.tensor("x")
    axes = a.integers("axes", [axis for axis, length in enumerate(x.shape) if length == 1])
    return x.squeeze(tuple(axes))


def pad(a: Arguments) -> Tensor:
    """Pairs of lengths for the last axes, the first of them first."""
    x, lengths, mode = a.floating("x"), a.integers("pad"), a.text("mode", "constant")
    pairs = [lengths[index : index + 2] for index in range(0, len(lengths), 2)]
    flat = [length for pair in reversed(pairs) for length in pair]
    if mode == "constant":
        return F.pad(x, flat, value=a.number("constant_val", 0.0))
    if mode not in ("reflect", "replicate"):
        raise a.refuse("mode", mode, "constant, reflect and replicate")
    while len(flat) > 4 and flat[-2:] == [
        0,
        0,
    ]:  # PyTorch repeats along two axes of a picture, and wants no others named
        flat = flat[:-2]
    return F.pad(x, flat, mode=mode)


def gelu(a: Arguments) -> Tensor:
    mode = a.text("mode", "EXACT")
    if mode not in ("EXACT", "TANH_APPROXIMATION"):
        raise a.refuse("mode", mode, "EXACT and TANH_APPROXIMATION")
    return F.gelu(a.floating("x"), approximate="none" if mode == "EXACT" else "tanh")


def reduce_sum(a: Arguments) -> Tensor:
    x = a.floating("x")
    return x.sum(a.integers("axes", list(range(x.dim()))), keepdim=a.flag("keep_dims", False))
