"""Exported programs in the words that coremltools' frontend knows."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx

from s2m_edge.targets.rewrites.definitions import composite_definition
from s2m_edge.targets.rewrites.operators.curves import towards_zero

aten = torch.ops.aten

MISREAD = frozenset({"affine_grid_generator", "cosine_similarity", "nan_to_num", "rms_norm"})
"""Operators that coremltools 9 lists and cannot convert as torch.export writes them: arguments that are left out, types
that do not meet, shapes that depend on values."""

OF_TRUTHS = {
    aten.__and__.Tensor: aten.logical_and.default,
    aten.__or__.Tensor: aten.logical_or.default,
    aten.__xor__.Tensor: aten.logical_xor.default,
    aten.bitwise_and.Tensor: aten.logical_and.default,
    aten.bitwise_or.Tensor: aten.logical_or.default,
    aten.bitwise_xor.Tensor: aten.logical_xor.default,
    aten.bitwise_not.default: aten.logical_not.default,
}
"""What an operator on bits is where they are truth values."""


def _reciprocal(x: Tensor) -> Tensor:
    return torch.div(torch.ones(1, dtype=x.dtype), x)


def _angle_of_point(y: Tensor, x: Tensor) -> Tensor:
    """The angle of the point (x, y) in (-pi, pi]; 0 of the origin, whatever its signs. No quotient is larger than 1."""
    steep = y.abs() > x.abs()
    above, below = torch.where(steep, -x, y), torch.where(steep, y, x)
    angle = torch.atan(above / torch.where(below == 0, torch.ones_like(below), below))
    behind = torch.where(y < 0, torch.full_like(y, -math.pi), torch.full_like(y, math.pi))
    turned = torch.where(x < 0, angle + behind, angle)
    return torch.where(steep, angle + torch.sign(y) * (math.pi / 2), turned)


def _log_sigmoid(x: Tensor) -> Tensor:
    return x.clamp(max=0.0) - torch.log(1.0 + torch.exp(-x.abs()))


def _product(x: Tensor, dim: int, keepdim: bool = False, *, dtype: torch.dtype | None = None) -> Tensor:
    """The product along an axis, by halves."""
    x = x if dtype is None else x.to(dtype)
    while (count := x.shape[dim]) > 1:
        half, odd = count // 2, x.narrow(dim, count - count % 2, count % 2)
        x = torch.cat((x.narrow(dim, 0, half) * x.narrow(dim, half, half), odd), dim)
    return x if keepdim else x.squeeze(dim)


def _product_of_all(x: Tensor, *, dtype: torch.dtype | None = None) -> Tensor:
    return _product(x.flatten(), 0, dtype=dtype)


def _remainder_towards_zero(x: Tensor, other: Tensor | float) -> Tensor:
    return x - towards_zero(x / other) * other


def _between(start: Tensor, end: Tensor, weight: Tensor | float) -> Tensor:
    return start + weight * (end - start)


OWN: dict[Any, Callable[..., Any]] = {
    aten.atan2.default: _angle_of_point,
    aten.fmod.Scalar: _remainder_towards_zero,
    aten.fmod.Tensor: _remainder_towards_zero,
    aten.lerp.Scalar: _between,
    aten.lerp.Tensor: _between,
    aten.log_sigmoid.default: _log_sigmoid,
    aten.prod.default: _product_of_all,
    aten.prod.dim_int: _product,
    aten.reciprocal.default: _reciprocal,
}
"""Exact words for what coremltools 9 changes (its reciprocal is 1 / (x + 0.0001), its angle of a negative number 0),
and for what it lacks where PyTorch's own words are lacking too."""

_ROUNDS = 8
"""A definition may itself need another; one that comes back to what it defines ends here."""


def known_to_coremltools(program: torch.export.ExportedProgram) -> torch.export.ExportedProgram:
    """The program with what coremltools 9 does not know written in other operators, where torch defines it so.

    `program` itself is changed too. An operator that torch has no other words for stays, and coremltools names it.
    """
    _in_known_words(program)
    for _ in range(_ROUNDS):
        definitions = _definitions(program.graph)
        if not definitions:
            break
        program = program.run_decompositions(definitions)
    _without_copies(program)
    return program


def _definitions(graph: fx.Graph) -> dict[Any, Callable[..., Any]]:
    """Torch's own definition of each operator of the graph that has to be replaced, by operator."""
    found: dict[Any, Callable[..., Any]] = {}
    for node in graph.nodes:
        if isinstance(node.target, torch._ops.OpOverload) and not _is_known(node):
            definition = _definition(node.target)
            if definition is not None:
                found[node.target] = definition
    return found


def _is_known(node: fx.Node) -> bool:
    from coremltools.converters.mil.frontend.torch.torch_op_registry import is_torch_fx_node_supported

    if node.target is aten.alias.default:
        return True  # a name, which `_without_copies` takes away
    if node.target in (aten.pad.default, aten.constant_pad_nd.default):
        return "circular" not in node.args and all(length >= 0 for length in node.args[1])  # type: ignore[union-attr, operator]
    name = node.target.__name__.split(".")[0]  # type: ignore[union-attr]
    if node.target in OWN or name in MISREAD or name.endswith("_"):  # coremltools asserts that no name ends so
        return False
    return is_torch_fx_node_supported(node)


def _definition(operator: Any) -> Callable[..., Any] | None:
    from torch._decomp import decomposition_table

    if operator in OWN:
        return OWN[operator]
    return decomposition_table.get(operator) or composite_definition(operator)


def _without_copies(program: torch.export.ExportedProgram) -> None:
    """Take out what only gives a tensor another name; in place."""
    for node in list(program.graph.nodes):
        if node.target is aten.alias.default:
            node.replace_all_uses_with(node.args[0])
            program.graph.erase_node(node)
    program.graph_module.recompile()


def _in_known_words(program: torch.export.ExportedProgram) -> None:
    """Say the same in arguments and operators that coremltools 9 reads as torch means them; in place.

    A max pooling that leaves its stride out (it is the window then) gets that stride. An instance normalisation by
    stored statistics, which coremltools would take from the picture, is a batch normalisation.
    """
    for node in program.graph.nodes:
        if node.target in (aten.max_pool2d.default, aten.max_pool2d_with_indices.default) and len(node.args) == 2:
            node.args = (*node.args, node.args[1])
        elif node.target is aten.instance_norm.default and not node.args[5]:
            node.target = aten.batch_norm.default
        elif node.target in OF_TRUTHS and node.meta["val"].dtype == torch.bool:
            node.target = OF_TRUTHS[node.target]
    program.graph_module.recompile()
