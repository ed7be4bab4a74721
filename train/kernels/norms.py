"""BatchNorm and the ELU behind it in training, as one operation: the same function in fewer passes over memory.

Each pass waits for memory, and PyTorch makes one or two for the statistics, for the norm, for the ELU and for the
gradient of each. What lies between norm and ELU is never stored here. Sums beyond a block are of float64, so that
results are nearer to the exact ones than PyTorch's.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from s2m_edge.errors import TrainingError
from s2m_edge.train.kernels.native import call, is_enabled

SMALLEST = 2**19
"""Values of a map below which PyTorch's two operations take less time: the calls count there, not the passes."""


class FastNorms:
    """Within it, every BatchNorm of a network with an ELU right behind it in an `nn.Sequential` runs with it as one.

    A network's layers, state and exports do not know of it. Norms and ELUs that somebody listens to (hooks), other
    kinds of norms (synchronised ones) and other ELUs than that of alpha 1 are left alone; so is everything where the
    kernel is not enabled, in evaluation, without gradients, in other types than float32 and bfloat16, and on maps of
    less than `SMALLEST` values.
    """

    def __init__(self, network: nn.Module) -> None:
        self._pairs = list(norms_with_elu(network))

    def __enter__(self) -> FastNorms:
        for norm, elu in self._pairs:
            vars(norm)["forward"] = partial(_norm_elu, norm)
            vars(elu)["forward"] = partial(_elu_behind, elu)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for module in (module for pair in self._pairs for module in pair):
            del vars(module)["forward"]  # the class's own is seen again


def norms_with_elu(network: nn.Module) -> Iterator[tuple[nn.BatchNorm2d, nn.ELU]]:
    """The pairs of a network that `FastNorms` runs as one."""
    for block in network.modules():
        if not isinstance(block, nn.Sequential):
            continue
        for norm, elu in pairwise(block):
            if type(norm) is not nn.BatchNorm2d or type(elu) is not nn.ELU or _is_heard(norm) or _is_heard(elu):
                continue
            if norm.affine and norm.momentum is not None and elu.alpha == 1.0:
                yield norm, elu


def _norm_elu(norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    found = batch_norm_elu(norm, x) if x.numel() >= SMALLEST else None
    if found is None:
        return type(norm).forward(norm, x)
    found._s2m_edge_elu_done = True  # type: ignore[attr-defined]
    return found


def _elu_behind(elu: nn.ELU, x: Tensor) -> Tensor:
    if getattr(x, "_s2m_edge_elu_done", False):
        del x._s2m_edge_elu_done  # type: ignore[attr-defined]
        return x
    return type(elu).forward(elu, x)


def batch_norm_elu(norm: nn.BatchNorm2d, x: Tensor) -> Tensor | None:
    """ELU(norm(x)) of a norm that learns, its running statistics brought forward; None where the kernel does not apply.

    Args:
        x: B x C x H x W, float32 or bfloat16, on the CPU.
    """
    values = x.numel() // x.shape[1] if x.dim() == 4 and x.shape[1] == norm.num_features else 0
    fits = norm.training and x.device.type == "cpu" and x.dtype in (torch.float32, torch.bfloat16) and values > 1
    if not (fits and is_enabled() and torch.is_grad_enabled() and norm.weight.dtype == torch.float32):
        return None
    x = x.contiguous(memory_format=torch.channels_last)
    mean, variance = torch.empty(2, norm.num_features)
    if not call("norm_statistics", x.dtype, x, values, norm.num_features, mean, variance):
        return None
    if norm.track_running_stats:
        assert norm.running_mean is not None
        assert norm.running_var is not None
        assert norm.num_batches_tracked is not None
        assert norm.momentum is not None
        with torch.no_grad():
            norm.running_mean.lerp_(mean, norm.momentum)
            norm.running_var.lerp_(variance * (values / (values - 1)), norm.momentum)
            norm.num_batches_tracked += 1
    return _NormElu.apply(x, norm.weight, norm.bias, mean, variance, norm.eps)  # type: ignore[no-any-return]


class _NormElu(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, epsilon: float
    ) -> Tensor:
        scale, shift = weight * (variance + epsilon).rsqrt(), bias.contiguous()
        y = torch.empty_like(x)
        _require(call("norm_elu_forward", x.dtype, x, y, *_sizes(x), mean, scale, shift))
        ctx.save_for_backward(x, mean, variance, scale, shift)
        ctx.epsilon = epsilon
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        x, mean, variance, scale, shift = ctx.saved_tensors
        upstream = upstream.contiguous(memory_format=torch.channels_last)
        rows, channels = _sizes(x)
        plain, by_x = torch.empty(2, channels, dtype=torch.float64)
        _require(call("norm_elu_sums", x.dtype, x, upstream, rows, channels, mean, scale, shift, plain, by_x))
        spread = variance.double() + ctx.epsilon
        for_x = None
        if ctx.needs_input_grad[0]:
            level, slope = (scale * plain / rows).float(), (scale * by_x / (rows * spread)).float()
            for_x = torch.empty_like(x)
            _require(
                call("norm_elu_backward", x.dtype, x, upstream, for_x, rows, channels, mean, scale, shift, level, slope)
            )
        return for_x, (by_x * spread.rsqrt()).float(), plain.float(), None, None, None


def _sizes(x: Tensor) -> tuple[int, int]:
    """Rows and channels of a map that lies channels last."""
    return x.numel() // x.shape[1], x.shape[1]


def _require(done: bool) -> None:
    if not done:
        raise TrainingError(
            "the native training kernel got no memory, or was switched off between forward and backward",
            "Choose a smaller --batch-size, or set S2M_EDGE_KERNEL=0 for the whole run.",
        )


def _is_heard(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks or module._backward_hooks)
