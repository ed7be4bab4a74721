"""Replacing the calls of operators in a network's program, one by one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, fx, nn

Rule = Callable[[fx.Node], Callable[..., Any] | None]
"""From a call of an operator to a function of the same arguments that gives the same; None leaves the call as it is."""


def in_other_operators(network: nn.Module, image: Tensor, rules: Mapping[Any, Rule]) -> nn.Module:
    """`network` itself if no rule has another word for what it calls; else its program with those replaced.

    The result belongs to one size, and its modules are gone: rewrite them before.

    Args:
        image: as the network takes it.
        rules: by operator, as torch.export writes it.
    """
    program = torch.export.export(network, (image,), strict=False).run_decompositions({}).module(check_guards=False)
    module = cast("fx.GraphModule", program)
    found = [(node, rule(node)) for node in module.graph.nodes if (rule := rules.get(node.target)) is not None]
    if not any(other for _, other in found):
        return network
    for node, other in found:  # after every rule has seen the program as it was
        if other is not None:
            node.target = other
    module.graph.eliminate_dead_code()
    module.recompile()
    return fx.GraphModule(module, module.graph).eval()  # torch.export's own kind of module refuses `eval`


def used_results(node: fx.Node) -> set[int]:
    """Which of an operator's results something takes."""
    return {int(user.args[1]) for user in node.users if user.users and len(user.args) == 2}  # type: ignore[arg-type]


def argument(node: fx.Node, name: str) -> Any:
    """An argument of an operator's call by the name that its schema gives it, or that argument's default."""
    assert isinstance(node.target, torch._ops.OpOverload)
    for place, given in enumerate(node.target._schema.arguments):
        if given.name == name:
            return node.args[place] if place < len(node.args) else node.kwargs.get(name, given.default_value)
    raise KeyError(name)


def pair(values: Sequence[int]) -> tuple[int, int]:
    """One number for each of two axes, of one for both or two."""
    return (values[0], values[-1])
