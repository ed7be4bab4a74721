"""A depthwise convolution of stride 1 with a gradient of its own: the same sums, in less time.

On x86 oneDNN has a fast weight gradient for kernels of 3 alone. For 5 and 7 it takes the one for grouped convolutions,
which pads every group of one channel to sixteen: most of a training step on a CPU.
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from s2m_edge.train.kernels.native import call

KERNEL_SIZES = (5, 7)


def depthwise_convolution(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`F.conv2d` of stride 1 that keeps the size, a kernel per channel; under autocast in autocast's dtype.

    Args:
        x: B x C x H x W.
        weight: C x 1 x K x K, K odd.
        bias: C, or None.

    Returns:
        B x C x H x W, exactly what `F.conv2d` returns. Gradients are its own up to the order of the sums; the
        weight's is summed in float32, and not rounded to autocast's dtype on its way.
    """
    if torch.is_autocast_enabled(x.device.type):
        x = x.to(torch.get_autocast_dtype(x.device.type))
    return _DepthwiseConvolution.apply(x, weight, bias)  # type: ignore[no-any-return]


def weight_gradient(x: Tensor, upstream: Tensor, size: int) -> Tensor:
    """Gradient of a depthwise convolution's weight, C x 1 x size x size of float32.

    Args:
        x: what was convolved, B x C x H x W.
        upstream: gradient of the result, of x's shape and dtype.
        size: the kernel's side, odd.
    """
    found = try_kernel(x, upstream, size)
    return pytorch_gradient(x, upstream, size) if found is None else found


def pytorch_gradient(x: Tensor, upstream: Tensor, size: int) -> Tensor:
    """`weight_gradient` by PyTorch's own means, of float32 or of x's wider dtype; sizes and dtypes as there."""
    channels = x.shape[1]
    _, gradient, _ = torch.ops.aten.convolution_backward(
        upstream,
        x,
        x.new_empty(channels, 1, size, size),
        None,
        [1, 1],
        [size // 2] * 2,
        [1, 1],
        False,
        [0, 0],
        channels,
        [False, True, False],
    )
    return gradient.to(torch.promote_types(gradient.dtype, torch.float32))


def try_kernel(x: Tensor, upstream: Tensor, size: int) -> Tensor | None:
    """The weight gradient through the kernel, C x 1 x size x size of float32, or None where it does not apply.

    Args:
        x, upstream: B x C x H x W of one dtype, on the CPU; the kernel takes float32 and bfloat16.
        size: the convolution kernel's side.
    """
    if size not in KERNEL_SIZES or upstream.dtype != x.dtype or x.device.type != "cpu":
        return None
    x, upstream = (tensor.contiguous(memory_format=torch.channels_last) for tensor in (x, upstream))
    result = torch.empty(x.shape[1], 1, size, size)
    shape = (ctypes.c_int64 * 4)(*x.shape)
    return result if call("depthwise_gradient", x.dtype, x, upstream, result, shape, size) else None


class _DepthwiseConvolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.bias_dtype = None if bias is None else bias.dtype
        return _convolve(x, weight.to(x.dtype), None if bias is None else bias.to(x.dtype))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        for_x = for_weight = for_bias = None
        if ctx.needs_input_grad[0]:  # a convolution again, with the kernel turned by half a turn
            for_x = _convolve(upstream, weight.to(x.dtype).flip(2, 3), None)
        if ctx.needs_input_grad[1]:
            for_weight = weight_gradient(x, upstream, weight.shape[-1]).to(weight.dtype)
        if ctx.bias_dtype is not None and ctx.needs_input_grad[2]:
            for_bias = upstream.sum((0, 2, 3), dtype=torch.float32).to(ctx.bias_dtype)
        return for_x, for_weight, for_bias


def _convolve(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2, groups=x.shape[1])
