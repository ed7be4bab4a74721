"""A complex tensor as two real ones, and what the operators on it are then."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

aten = torch.ops.aten


@dataclass(frozen=True)
class Pair:
    """A complex tensor: its real and its imaginary part, of one shape, or of shapes that broadcast to its own."""

    real: Tensor
    imaginary: Tensor


Operation = Callable[..., Any]


def pair_of(value: Any) -> Pair:
    """A pair, a real or complex tensor, or a number, as a pair."""
    if isinstance(value, Pair):
        return value
    if isinstance(value, Tensor):
        if value.is_complex():
            parts = torch.view_as_real(value.resolve_conj())
            return Pair(parts[..., 0].contiguous(), parts[..., 1].contiguous())
        return Pair(value, torch.zeros_like(value))
    number = complex(value)
    return Pair(torch.tensor(number.real), torch.tensor(number.imag))


def real_type(dtype: torch.dtype) -> torch.dtype:
    """The type of the parts of a complex type; any other type as it is."""
    return dtype.to_real() if dtype.is_complex else dtype


def by_part(operator: Any) -> Operation:
    """An operator that does with the imaginary parts what it does with the real ones: it moves, sums or scales them.

    A real tensor beside a pair has no imaginary part; masks and indices go to both.
    """

    def compute(*args: Any, **kwargs: Any) -> Any:
        results = [operator(*_part(args, index), **_part(kwargs, index)) for index in range(2)]
        if isinstance(results[0], list | tuple):
            return [Pair(*parts) for parts in zip(*results, strict=True)]
        return Pair(*results)

    return compute


def _part(value: Any, index: int) -> Any:
    if isinstance(value, Pair):
        return value.imaginary if index else value.real
    if isinstance(value, Tensor):
        return torch.zeros_like(value) if index and value.is_floating_point() else value
    if isinstance(value, Mapping):
        return {key: _part(entry, index) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_part(entry, index) for entry in value)
    if isinstance(value, torch.dtype):
        return real_type(value)
    return value


def _bilinear(operator: Any) -> Operation:
    """A product of two tensors, of whatever kind: (a + bi)(c + di) = (ac - bd) + (ad + bc)i."""

    def compute(first: Any, second: Any, *rest: Any) -> Pair:
        return _product(lambda x, y: operator(x, y, *rest), first, second)

    return compute


def _product(multiply: Callable[[Any, Any], Tensor], first: Any, second: Any) -> Pair:
    if not isinstance(second, Pair) and not _is_complex(second):
        one = pair_of(first)
        return Pair(multiply(one.real, second), multiply(one.imaginary, second))
    if not isinstance(first, Pair) and not _is_complex(first):
        one = pair_of(second)
        return Pair(multiply(first, one.real), multiply(first, one.imaginary))
    one, other = pair_of(first), pair_of(second)
    real = multiply(one.real, other.real) - multiply(one.imaginary, other.imaginary)
    return Pair(real, multiply(one.real, other.imaginary) + multiply(one.imaginary, other.real))


def _is_complex(value: Any) -> bool:
    return value.is_complex() if isinstance(value, Tensor) else isinstance(value, complex)


def _einsum(equation: str, operands: Sequence[Any], **kwargs: Any) -> Pair:
    if len(operands) == 1:
        return by_part(aten.einsum.default)(equation, operands, **kwargs)
    if len(operands) > 2:
        raise NotImplementedError(f"einsum of {len(operands)} complex tensors")
    return _product(lambda x, y: aten.einsum.default(equation, [x, y], **kwargs), *operands)


def _sum(sign: int) -> Operation:
    def compute(first: Any, second: Any, *, alpha: float = 1) -> Pair:
        one, other = pair_of(first), pair_of(second)
        factor = sign * alpha
        return Pair(
            torch.add(one.real, other.real, alpha=factor), torch.add(one.imaginary, other.imaginary, alpha=factor)
        )

    return compute


def _squared_magnitude(x: Pair) -> Tensor:
    return x.real * x.real + x.imaginary * x.imaginary


def _magnitude(x: Pair) -> Tensor:
    return torch.sqrt(_squared_magnitude(x))


def _conjugate(x: Pair) -> Pair:
    return Pair(x.real, -x.imaginary)


def _reciprocal(x: Pair) -> Pair:
    square = _squared_magnitude(x)
    return Pair(x.real / square, -x.imaginary / square)


def _quotient(first: Any, second: Any) -> Pair:
    if isinstance(second, Pair) or _is_complex(second):
        return _product(torch.mul, first, _reciprocal(pair_of(second)))
    one = pair_of(first)
    return Pair(one.real / second, one.imaginary / second)


def _polar(magnitude: Tensor, angle: Tensor) -> Pair:
    return Pair(magnitude * torch.cos(angle), magnitude * torch.sin(angle))


def _exponential(x: Pair) -> Pair:
    return _polar(torch.exp(x.real), x.imaginary)


def _direction(x: Pair) -> Pair:
    """x / |x|, and 0 of 0."""
    magnitude = _magnitude(x)
    length = torch.where(magnitude == 0, torch.ones_like(magnitude), magnitude)
    return Pair(x.real / length, x.imaginary / length)


def _padded(operator: Any) -> Operation:
    """A constant around a tensor is the real part's alone."""

    def compute(x: Pair, lengths: Sequence[int], *rest: Any, **kwargs: Any) -> Pair:
        *mode, value = rest if rest and not isinstance(rest[-1], str) else (*rest, kwargs.get("value"))
        number = complex(value or 0)
        real, imaginary = (
            operator(part, lengths, *mode, filler) if number else operator(part, lengths, *mode)
            for part, filler in ((x.real, number.real), (x.imaginary, number.imag))
        )
        return Pair(real, imaginary)

    return compute


def _chosen(condition: Tensor, first: Any, second: Any) -> Pair:
    one, other = pair_of(first), pair_of(second)
    return Pair(torch.where(condition, one.real, other.real), torch.where(condition, one.imaginary, other.imaginary))


def _filled(x: Pair, mask: Tensor, value: Any) -> Pair:
    return _chosen(mask, value, x)


def _power(x: Pair, exponent: Any) -> Pair:
    if exponent != 2:
        raise NotImplementedError(f"the power {exponent} of a complex tensor")
    return _product(torch.mul, x, x)


def _made(operator: Any) -> Operation:
    """What makes a tensor of a complex type: zeros, ones, one number throughout."""

    def compute(*args: Any, **kwargs: Any) -> Pair:
        number = next((entry for entry in args if isinstance(entry, complex)), None)
        if number is None:
            real = operator(*_part(args, 0), **_part(kwargs, 0))
            return Pair(real, torch.zeros_like(real))
        real, imaginary = (
            operator(*(part if entry is number else _part(entry, 0) for entry in args), **_part(kwargs, 0))
            for part in (number.real, number.imag)
        )
        return Pair(real, imaginary)

    return compute


def _cast(x: Any, *args: Any, **kwargs: Any) -> Any:
    found = [entry for entry in (*args, *kwargs.values()) if isinstance(entry, torch.dtype)]
    if isinstance(x, Pair) and found and not found[0].is_complex:
        return x.real.to(found[0])
    dtype = real_type(found[0]) if found else None
    one = pair_of(x)
    return one if dtype is None else Pair(one.real.to(dtype), one.imaginary.to(dtype))


MOVES = (
    *(aten.view.default, aten._unsafe_view.default, aten.reshape.default, aten.flatten.using_ints, aten.unflatten.int),
    *(aten.permute.default, aten.transpose.int, aten.t.default, aten.movedim.intlist, aten.movedim.int),
    *(aten.expand.default, aten.unsqueeze.default, aten.squeeze.default, aten.squeeze.dim, aten.squeeze.dims),
    *(aten.slice.Tensor, aten.select.int, aten.narrow.default, aten.index.Tensor, aten.index_select.default),
    *(aten.cat.default, aten.stack.default, aten.split.Tensor, aten.split_with_sizes.default, aten.chunk.default),
    *(aten.unbind.int, aten.repeat.default, aten.roll.default, aten.flip.default, aten.gather.default),
    *(aten.fft_fftshift.default, aten.fft_ifftshift.default),
    *(aten.slice_scatter.default, aten.select_scatter.default, aten.copy.default),
    *(
        aten.clone.default,
        aten.contiguous.default,
        aten.alias.default,
        aten.detach.default,
        aten.lift_fresh_copy.default,
    ),
    *(aten.sum.default, aten.sum.dim_IntList, aten.mean.default, aten.mean.dim, aten.neg.default),
    *(aten.resolve_conj.default, aten.resolve_neg.default),
)

PRODUCTS = (aten.mul.Tensor, aten.mul.Scalar, aten.mm.default, aten.bmm.default, aten.matmul.default)

MADE = (
    *(aten.zeros.default, aten.ones.default, aten.full.default, aten.zeros_like.default, aten.ones_like.default),
    *(
        aten.scalar_tensor.default,
        aten.full_like.default,
        aten.new_zeros.default,
        aten.new_ones.default,
        aten.new_full.default,
    ),
)

OPERATIONS: dict[Any, Operation] = {
    **{operator: by_part(operator) for operator in MOVES},
    **{operator: _bilinear(operator) for operator in PRODUCTS},
    **{operator: _made(operator) for operator in MADE},
    aten.einsum.default: _einsum,
    aten.where.self: _chosen,
    aten.masked_fill.Scalar: _filled,
    aten.masked_fill.Tensor: _filled,
    aten.constant_pad_nd.default: _padded(aten.constant_pad_nd.default),
    aten.pad.default: _padded(aten.pad.default),
    aten.add.Tensor: _sum(1),
    aten.sub.Tensor: _sum(-1),
    aten.div.Tensor: _quotient,
    aten.reciprocal.default: _reciprocal,
    aten.pow.Tensor_Scalar: _power,
    aten.exp.default: _exponential,
    aten.sgn.default: _direction,
    aten.abs.default: _magnitude,
    aten.angle.default: lambda x: torch.atan2(x.imaginary, x.real),
    aten._conj.default: _conjugate,
    aten._conj_physical.default: _conjugate,
    aten.conj_physical.default: _conjugate,
    aten.real.default: lambda x: x.real,
    aten.imag.default: lambda x: x.imaginary,
    aten.view_as_real.default: lambda x: torch.stack((x.real, x.imaginary), -1),
    aten.view_as_complex.default: lambda x: Pair(x[..., 0], x[..., 1]),
    aten.complex.default: lambda real, imaginary: Pair(*torch.broadcast_tensors(real, imaginary)),
    aten.polar.default: _polar,
    aten._to_copy.default: _cast,
    aten.to.dtype: _cast,
    aten._assert_tensor_metadata.default: lambda x, *_, **__: None,  # torch.export notes the type in front of a cast
}
"""By operator, what it is on pairs; its other arguments are as of the operator."""
