"""MIL operations that treat each value by itself: arithmetic, comparisons, curves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from s2m_edge.targets.coreml.evaluator.arguments import Arguments
from s2m_edge.targets.coreml.evaluator.operation import XY, Operation, X, always, like, named


def _same_types(a: Arguments) -> None:
    if a.tensor("x").dtype != a.tensor("y").dtype:
        raise a.refuse("x and y", f"{a.tensor('x').dtype} and {a.tensor('y').dtype}", "one type for both")


def _of_floats(function: Callable[[Tensor, Tensor], Tensor]) -> Operation:
    def compute(a: Arguments) -> Tensor:
        _same_types(a)
        return function(a.floating("x"), a.floating("y"))

    return Operation(compute, XY)


def _of_numbers(function: Callable[[Tensor, Tensor], Tensor]) -> Operation:
    def compute(a: Arguments) -> Tensor:
        _same_types(a)
        return function(a.numeric("x"), a.numeric("y"))

    return Operation(compute, XY)


def _comparison(function: Callable[[Tensor, Tensor], Tensor]) -> Operation:
    return replace(_of_numbers(function), result_dtype=always(torch.bool))


def _of_truths(function: Callable[[Tensor, Tensor], Tensor]) -> Operation:
    return Operation(lambda a: function(a.truth("x"), a.truth("y")), XY)


def _curve(function: Callable[[Tensor], Tensor]) -> Operation:
    return Operation(lambda a: function(a.floating("x")), X)


def _with_epsilon(function: Callable[[Tensor], Tensor], default: float) -> Operation:
    return Operation(lambda a: function(a.floating("x") + a.number("epsilon", default)), X, frozenset({"epsilon"}))


def _with_alpha_and_beta(function: Callable[[Tensor, float, float], Tensor]) -> Operation:
    """Curves whose two numbers have to be there; the defaults are never taken."""
    return Operation(
        lambda a: function(a.floating("x"), a.number("alpha", 0.0), a.number("beta", 0.0)), X | {"alpha", "beta"}
    )


def _per_channel(a: Arguments, name: str) -> Tensor:
    """One value for each channel, to be broadcast over B x C x ..."""
    values, rank = a.floating(name), a.tensor("x").dim()
    if values.dim() != 1 or rank < 3:
        raise a.refuse(
            name, f"rank {values.dim()} for x of rank {rank}", "one value for each channel, x of rank 3 and more"
        )
    return values.reshape(1, -1, *[1] * (rank - 2))


def _prelu(a: Arguments) -> Tensor:
    x = a.floating("x")
    return torch.where(x > 0, x, x * _per_channel(a, "alpha"))


def _softplus_parametric(a: Arguments) -> Tensor:
    return _per_channel(a, "alpha") * F.softplus(a.floating("x") * _per_channel(a, "beta"), threshold=1e4)


def _thresholded_relu(a: Arguments) -> Tensor:
    """x from alpha on, 0 below; Hardswish becomes one of these, with an alpha below 0."""
    x = a.floating("x")
    return torch.where(x >= a.number("alpha", 1.0), x, torch.zeros_like(x))


def _gelu(a: Arguments) -> Tensor:
    mode = a.text("mode", "EXACT")
    if mode not in ("EXACT", "TANH_APPROXIMATION"):
        raise a.refuse("mode", mode, "EXACT and TANH_APPROXIMATION")
    return F.gelu(a.floating("x"), approximate="none" if mode == "EXACT" else "tanh")


def _select(a: Arguments) -> Tensor:
    if a.tensor("a").dtype != a.tensor("b").dtype:
        raise a.refuse("a and b", f"{a.tensor('a').dtype} and {a.tensor('b').dtype}", "one type for both")
    return torch.where(a.truth("cond"), a.tensor("a"), a.tensor("b"))


def _clipped(x: Tensor, alpha: float, beta: float) -> Tensor:
    return x.clamp(alpha, beta)


TABLE: dict[str, Operation] = {
    "add": _of_numbers(torch.add),
    "sub": _of_numbers(torch.sub),
    "mul": _of_numbers(torch.mul),
    "real_div": _of_floats(torch.div),
    "floor_div": _of_numbers(torch.floor_divide),
    "mod": _of_numbers(torch.remainder),
    "pow": _of_floats(torch.pow),
    "maximum": _of_numbers(torch.maximum),
    "minimum": _of_numbers(torch.minimum),
    "equal": _comparison(torch.eq),
    "not_equal": _comparison(torch.ne),
    "greater": _comparison(torch.gt),
    "greater_equal": _comparison(torch.ge),
    "less": _comparison(torch.lt),
    "less_equal": _comparison(torch.le),
    "logical_and": _of_truths(torch.logical_and),
    "logical_or": _of_truths(torch.logical_or),
    "logical_xor": _of_truths(torch.logical_xor),
    "logical_not": Operation(lambda a: ~a.truth("x"), X),
    "select": Operation(_select, frozenset({"cond", "a", "b"}), result_dtype=like("a")),
    "cast": Operation(lambda a: a.tensor("x"), X | {"dtype"}, result_dtype=named("dtype")),
    "identity": Operation(lambda a: a.tensor("x"), X),
    "abs": Operation(lambda a: a.numeric("x").abs(), X),
    "sign": Operation(lambda a: a.numeric("x").sign(), X),
    **{
        name: _curve(getattr(torch, name))
        for name in (
            "acos",
            "asin",
            "atan",
            "atanh",
            "ceil",
            "cos",
            "cosh",
            "erf",
            "exp",
            "exp2",
            "floor",
            "relu",
            "round",
            "sigmoid",
            "sin",
            "sinh",
            "sqrt",
            "square",
            "tan",
            "tanh",
        )
    },
    "inverse": _with_epsilon(torch.reciprocal, 1e-4),
    "log": _with_epsilon(torch.log, 1e-45),
    "rsqrt": _with_epsilon(torch.rsqrt, 1e-12),
    "relu6": _curve(F.relu6),
    "silu": _curve(F.silu),
    "softplus": _curve(F.softplus),
    "softsign": _curve(F.softsign),
    "elu": Operation(lambda a: F.elu(a.floating("x"), a.number("alpha", 1.0)), X | {"alpha"}),
    "leaky_relu": Operation(lambda a: F.leaky_relu(a.floating("x"), a.number("alpha", 0.01)), X | {"alpha"}),
    "gelu": Operation(_gelu, X, frozenset({"mode"})),
    "prelu": Operation(_prelu, X | {"alpha"}),
    "softplus_parametric": Operation(_softplus_parametric, X | {"alpha", "beta"}),
    "threshold": Operation(lambda a: a.numeric("x").clamp(min=a.number("alpha", 0.0)), X | {"alpha"}),
    "thresholded_relu": Operation(_thresholded_relu, X, frozenset({"alpha"})),
    "clip": _with_alpha_and_beta(_clipped),
    "clamped_relu": _with_alpha_and_beta(lambda x, alpha, beta: torch.where(x >= 0, x, alpha * x).clamp(max=beta)),
    "linear_activation": _with_alpha_and_beta(lambda x, alpha, beta: alpha * x + beta),
    "scaled_tanh": _with_alpha_and_beta(lambda x, alpha, beta: alpha * torch.tanh(beta * x)),
    "sigmoid_hard": _with_alpha_and_beta(lambda x, alpha, beta: (alpha * x + beta).clamp(0, 1)),
}
