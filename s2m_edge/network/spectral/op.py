"""`s2m_edge::spectral_filter`, the one custom op: CPU, CUDA, autograd, fake tensors, out variant.

Graphs captured by torch.export hold it as one opaque node; each target lowers that node its own way.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from s2m_edge.errors import ConfigurationError
from s2m_edge.network.spectral.compiled import is_traced
from s2m_edge.network.spectral.dft import dft_spectral_filter, dft_weight_gradient
from s2m_edge.network.spectral.kernel import try_kernel

NAMESPACE = "s2m_edge"
NAME = "spectral_filter"
GRADIENT_NAME = f"{NAME}_weight_gradient"
QUALIFIED_NAME = f"{NAMESPACE}::{NAME}"

_library = torch.library.Library(NAMESPACE, "DEF")
_library.define(f"{NAME}(Tensor x, Tensor weight) -> Tensor", tags=(torch.Tag.pt2_compliant_tag,))
_library.define(f"{NAME}.out(Tensor x, Tensor weight, *, Tensor(a!) out) -> Tensor(a!)")


def _check(x: Tensor, weight: Tensor) -> None:
    if x.dim() != 4 or weight.dim() != 3:
        raise ConfigurationError(
            f"spectral_filter takes x of B x C x H x W and weight of C x K1 x K2, not {x.dim()} and {weight.dim()} axes"
        )
    if x.shape[1] != weight.shape[0]:
        raise ConfigurationError(f"x has {x.shape[1]} channels and the filter {weight.shape[0]}")
    if not x.dtype.is_floating_point or not weight.dtype.is_floating_point:
        raise ConfigurationError(f"spectral_filter takes real floating tensors, not {x.dtype} and {weight.dtype}")


def _forward(x: Tensor, weight: Tensor) -> Tensor:
    _check(x, weight)
    found = try_kernel(x, weight)
    return found if found is not None else dft_spectral_filter(x, weight.to(x.dtype)).contiguous()


def _forward_out(x: Tensor, weight: Tensor, *, out: Tensor) -> Tensor:
    result = _forward(x, weight)
    out.resize_(result.shape)
    return out.copy_(result)


def _fake(x: Tensor, weight: Tensor) -> Tensor:
    _check(x, weight)
    return torch.empty_like(x, memory_format=torch.contiguous_format)


def _fake_out(x: Tensor, weight: Tensor, *, out: Tensor) -> Tensor:
    _check(x, weight)
    return out


for _device in ("CPU", "CUDA"):
    _library.impl(NAME, _forward, _device)
    _library.impl(f"{NAME}.out", _forward_out, _device)
torch.library.register_fake(QUALIFIED_NAME, _fake, lib=_library)
torch.library.register_fake(f"{QUALIFIED_NAME}.out", _fake_out, lib=_library)


def _setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:2])


def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
    x, weight = ctx.saved_tensors
    # The map is symmetric in x, so its gradient is itself.
    gradient_x = spectral_filter(gradient, weight) if ctx.needs_input_grad[0] else None
    gradient_weight = _weight_gradient(gradient, x, weight) if ctx.needs_input_grad[1] else None
    return gradient_x, gradient_weight


torch.library.register_autograd(QUALIFIED_NAME, _backward, setup_context=_setup_context, lib=_library)

# The filter's gradient is an op too, so that traced training graphs (torch.compile, dynamic shapes) stay opaque here.
# It is bilinear: <v, G(g, x)> = <g, filter(x, v)>, which gives its own gradients and closes the second order.
_library.define(
    f"{GRADIENT_NAME}(Tensor gradient, Tensor x, SymInt rows, SymInt columns) -> Tensor",
    tags=(torch.Tag.pt2_compliant_tag,),
)


def _gradient_forward(gradient: Tensor, x: Tensor, rows: int, columns: int) -> Tensor:
    return dft_weight_gradient(gradient, x, rows, columns).contiguous()


def _gradient_fake(gradient: Tensor, x: Tensor, rows: int, columns: int) -> Tensor:
    return x.new_empty((x.shape[1], rows, columns))


def _gradient_backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
    gradient, x = ctx.saved_tensors
    to_gradient = spectral_filter(x, upstream) if ctx.needs_input_grad[0] else None
    to_x = spectral_filter(gradient, upstream) if ctx.needs_input_grad[1] else None
    return to_gradient, to_x, None, None


for _device in ("CPU", "CUDA"):
    _library.impl(GRADIENT_NAME, _gradient_forward, _device)
torch.library.register_fake(f"{NAMESPACE}::{GRADIENT_NAME}", _gradient_fake, lib=_library)
torch.library.register_autograd(
    f"{NAMESPACE}::{GRADIENT_NAME}", _gradient_backward, setup_context=_setup_context, lib=_library
)


def _weight_gradient(gradient: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    op = torch.ops.s2m_edge.spectral_filter_weight_gradient
    return op(gradient, x, weight.shape[1], weight.shape[2]).to(weight.dtype)


def _vmap(
    info: Any,
    in_dims: tuple[int | None, int | None],
    x: Tensor,
    weight: Tensor,
) -> tuple[Tensor, int]:
    """Batching over x folds into B; batching over the filter folds into channels, which are independent."""
    x_dim, weight_dim = in_dims
    if weight_dim is None:
        assert x_dim is not None
        moved = x.movedim(x_dim, 0)
        return spectral_filter(moved.flatten(0, 1), weight).unflatten(0, moved.shape[:2]), 0
    filters = weight.movedim(weight_dim, 0)
    size = filters.shape[0]
    moved = x.movedim(x_dim, 1) if x_dim is not None else x.unsqueeze(1).expand(-1, size, *x.shape[1:])
    return spectral_filter(moved.flatten(1, 2), filters.flatten(0, 1)).unflatten(1, (size, -1)), 1


torch.library.register_vmap(QUALIFIED_NAME, _vmap, lib=_library)


def spectral_filter(x: Tensor, weight: Tensor) -> Tensor:
    """Filter every channel of `x` with a real filter over its central frequencies.

        y = Re(IFFT2(pad(W * crop(fftshift(FFT2(x))))))        (arXiv 2601.01285, section 3.2)

    Args:
        x: B x C x H x W, float16, bfloat16, float32 or float64.
        weight: C x K1 x K2, real, frequency 0 at index K // 2 of each axis; frequencies that the map does not have
            are ignored.

    Returns:
        B x C x H x W, of x's dtype, contiguous.

    Raises:
        ConfigurationError: the shapes or dtypes do not fit.
    """
    if is_traced():
        _check(x, weight)
        return dft_spectral_filter(x, weight.to(x.dtype)).contiguous()
    return torch.ops.s2m_edge.spectral_filter(x, weight)
