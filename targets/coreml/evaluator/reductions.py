"""MIL operations that sum up axes, run along them or order them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from s2m_edge.targets.coreml.evaluator.arguments import Arguments
from s2m_edge.targets.coreml.evaluator.operation import Operation, X, always, named

_AXES = frozenset({"axes", "keep_dims"})
Reduction = Callable[[Tensor, list[int], bool], Tensor]


def _over_axes(function: Reduction, *, integers: bool = False) -> Operation:
    def compute(a: Arguments) -> Tensor:
        x = a.numeric("x") if integers else a.floating("x")
        return function(x, a.integers("axes", list(range(x.dim()))), a.flag("keep_dims", False))

    return Operation(compute, X, _AXES)


def _product(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    for axis in sorted((axis % x.dim() for axis in axes), reverse=True):
        x = x.prod(axis, keepdim=keep)
    return x


def _place(function: Callable[..., Tensor]) -> Operation:
    """Where the extreme value lies, the first of equal ones."""
    return Operation(
        lambda a: function(a.numeric("x"), a.integer("axis", -1), a.flag("keep_dims", False)),
        X,
        frozenset({"axis", "keep_dims", "output_dtype"}),
        named("output_dtype", "int32"),
    )


def _cumulative_sum(a: Arguments) -> Tensor:
    x, axis = a.numeric("x"), a.integer("axis", 0)
    backwards = a.flag("reverse", False)
    x = x.flip(axis) if backwards else x
    total = x.cumsum(axis)
    total = total - x if a.flag("exclusive", False) else total
    return total.flip(axis) if backwards else total


def _largest(a: Arguments) -> tuple[Tensor, ...]:
    x, axis = a.numeric("x"), a.integer("axis", -1)
    if not a.flag("sort", True):
        raise a.refuse("sort", "false", "an order that is defined")
    count, descending = a.integer("k", 1), not a.flag("ascending", False)
    # Of equal values the first comes first.
    values, places = x.sort(dim=axis, descending=descending, stable=True)
    values, places = values.narrow(axis, 0, count), places.narrow(axis, 0, count)
    return (values, places) if a.flag("return_indices", True) else (values,)


def _order(a: Arguments) -> Tensor:
    return a.numeric("x").argsort(dim=a.integer("axis", -1), descending=not a.flag("ascending", False), stable=True)


TABLE: dict[str, Operation] = {
    "reduce_mean": _over_axes(lambda x, axes, keep: x.mean(axes, keepdim=keep)),
    "reduce_sum": _over_axes(lambda x, axes, keep: x.sum(axes, keepdim=keep), integers=True),
    "reduce_max": _over_axes(lambda x, axes, keep: x.amax(axes, keepdim=keep), integers=True),
    "reduce_min": _over_axes(lambda x, axes, keep: x.amin(axes, keepdim=keep), integers=True),
    "reduce_prod": _over_axes(_product, integers=True),
    "reduce_l1_norm": _over_axes(lambda x, axes, keep: x.abs().sum(axes, keepdim=keep)),
    "reduce_l2_norm": _over_axes(lambda x, axes, keep: x.square().sum(axes, keepdim=keep).sqrt()),
    "reduce_sum_square": _over_axes(lambda x, axes, keep: x.square().sum(axes, keepdim=keep)),
    "reduce_log_sum": _over_axes(lambda x, axes, keep: x.sum(axes, keepdim=keep).log()),
    "reduce_log_sum_exp": _over_axes(lambda x, axes, keep: x.logsumexp(axes, keepdim=keep)),
    "reduce_argmax": _place(torch.argmax),
    "reduce_argmin": _place(torch.argmin),
    "cumsum": Operation(_cumulative_sum, X, frozenset({"axis", "exclusive", "reverse"})),
    "argsort": Operation(_order, X, frozenset({"axis", "ascending"}), always(torch.int32)),
    "topk": Operation(
        _largest,
        X,
        frozenset({"k", "axis", "ascending", "sort", "return_indices", "output_indices_dtype"}),
        further_dtype=named("output_indices_dtype", "int32"),
    ),
}
