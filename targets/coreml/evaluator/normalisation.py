"""MIL operations that scale values by what lies around them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from s2m_edge.targets.coreml.evaluator.arguments import Arguments
from s2m_edge.targets.coreml.evaluator.operation import Operation, X


def _scaled(a: Arguments, y: Tensor, shape: list[int]) -> Tensor:
    """y times gamma plus beta, where they are given, each brought to `shape`."""
    gamma, beta = a.optional_floating("gamma"), a.optional_floating("beta")
    y = y if gamma is None else y * gamma.reshape(shape)
    return y if beta is None else y + beta.reshape(shape)


def _by_moments(a: Arguments, x: Tensor, axes: list[int]) -> Tensor:
    mean = x.mean(axes, keepdim=True)
    variance = (x - mean).square().mean(axes, keepdim=True)
    return (x - mean) / torch.sqrt(variance + a.number("epsilon", 1e-5))


def _layer_norm(a: Arguments) -> Tensor:
    """gamma and beta have the lengths of the axes."""
    x = a.floating("x")
    axes = sorted(axis % x.dim() for axis in a.integers("axes", list(range(x.dim()))))
    shape = [length if axis in axes else 1 for axis, length in enumerate(x.shape)]
    return _scaled(a, _by_moments(a, x, axes), shape)


def _channels_shape(x: Tensor) -> list[int]:
    return [1, -1, *[1] * (x.dim() - 2)]


def _instance_norm(a: Arguments) -> Tensor:
    """Over every axis behind the channels, of each picture and channel."""
    x = a.floating("x")
    return _scaled(a, _by_moments(a, x, list(range(2, x.dim()))), _channels_shape(x))


def _batch_norm(a: Arguments) -> Tensor:
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta, one of each for a channel."""
    x = a.floating("x")
    shape = _channels_shape(x)
    mean, variance = a.floating("mean").reshape(shape), a.floating("variance").reshape(shape)
    return _scaled(a, (x - mean) / torch.sqrt(variance + a.number("epsilon", 1e-5)), shape)


def _l2_norm(a: Arguments) -> Tensor:
    """By the root of the sum of squares over the last three axes."""
    x = a.floating("x")
    if x.dim() < 3:
        raise a.refuse("x of rank", x.dim(), "three axes and more")
    return x / torch.sqrt(x.square().sum((-3, -2, -1), keepdim=True) + a.number("epsilon", 1e-6))


def _local_response_norm(a: Arguments) -> Tensor:
    """By the squares of as many neighbouring channels as `size` says, the channel itself in their middle."""
    size = a.integer("size", 1)
    if size % 2 == 0:
        raise a.refuse("size", size, "an odd number of channels, whose middle is no matter of convention")
    alpha, beta = a.number("alpha", 1e-4), a.number("beta", 0.75)
    return F.local_response_norm(a.floating("x"), size, alpha, beta, a.number("k", 1.0))


TABLE: dict[str, Operation] = {
    "layer_norm": Operation(_layer_norm, X, frozenset({"axes", "gamma", "beta", "epsilon"})),
    "instance_norm": Operation(_instance_norm, X, frozenset({"gamma", "beta", "epsilon"})),
    "batch_norm": Operation(_batch_norm, X | {"mean", "variance"}, frozenset({"gamma", "beta", "epsilon"})),
    "l2_norm": Operation(_l2_norm, X, frozenset({"epsilon"})),
    "local_response_norm": Operation(_local_response_norm, X | {"size"}, frozenset({"alpha", "beta", "k"})),
    "softmax": Operation(lambda a: a.floating("x").softmax(a.integer("axis", -1)), X, frozenset({"axis"})),
}
