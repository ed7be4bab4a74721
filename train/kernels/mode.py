"""Running a network's training step with our kernels, without touching the network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from s2m_edge.train.kernels.depthwise import KERNEL_SIZES, depthwise_convolution
from s2m_edge.train.kernels.native import is_enabled
from s2m_edge.train.kernels.norms import FastNorms


@contextmanager
def training_kernels(network: nn.Module) -> Iterator[None]:
    """Within it a step of `network` runs with all kernels that apply; as ever where they are not enabled."""
    if not is_enabled():
        yield
        return
    with FastDepthwise(), FastNorms(network):
        yield


class FastDepthwise(TorchFunctionMode):
    """Within it, the depthwise convolutions that the kernel can help run as `depthwise_convolution`; others as ever.

    A network's layers, state and exports do not know of it. Convolutions whose weights need no gradient are left
    alone, and all of them where the kernel is not enabled.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is F.conv2d and is_enabled() and (operands := _depthwise(*args, **kwargs)) is not None:
            return depthwise_convolution(*operands)
        return func(*args, **kwargs)


def _depthwise(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> tuple[Tensor, Tensor, Tensor | None] | None:
    """The operands, where it is such a convolution that the kernel takes."""
    size = weight.shape[-1]
    keeps_size = _both(stride) == (1, 1) and _both(dilation) == (1, 1) and _both(padding) == (size // 2, size // 2)
    fits = (
        size in KERNEL_SIZES
        and tuple(weight.shape) == (groups, 1, size, size)
        and input.dim() == 4
        and input.shape[1] == groups
        and input.device.type == "cpu"
    )
    learns = torch.is_grad_enabled() and weight.requires_grad
    return (input, weight, bias) if keeps_size and fits and learns else None


def _both(value: Any) -> tuple[Any, ...]:
    return (value, value) if isinstance(value, int) else tuple(value)
