"""A network in real numbers: its program, run operator by operator on pairs where torch has complex tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, fx, nn
from torch.utils._pytree import tree_leaves

from s2m_edge.errors import LoweringError
from s2m_edge.targets.rewrites.complex_numbers.fourier import Transform, fourier_operations
from s2m_edge.targets.rewrites.complex_numbers.pair import OPERATIONS, pair_of
from s2m_edge.targets.rewrites.definitions import composite_definition
from s2m_edge.targets.rewrites.watch import calls_of

_ROUNDS = 8
"""A definition may itself need another."""


def in_real_numbers(network: nn.Module, image: Tensor) -> nn.Module:
    """`network` itself if it computes in real numbers alone; else one that gives the same and does.

    Fourier transforms become products with constant matrices, and every other complex tensor two real ones. The result
    belongs to one size, and its modules are gone: rewrite them before.

    Args:
        image: as the network takes it.

    Raises:
        LoweringError: an operator on complex numbers has no form in real ones here.
    """
    return RealNetwork(network, image).eval() if calls_of(network, image).complex_numbers else network


class RealNetwork(nn.Module):
    """What a network computes, without complex numbers.

    Args:
        network: any that torch.export takes.
        image: as the network takes it.
    """

    def __init__(self, network: nn.Module, image: Tensor) -> None:
        super().__init__()
        self.program = _program(network, image)
        _keep_in_parts(self.program)
        self.matrices = nn.Module()
        with torch.no_grad():
            self(image)  # which makes the matrices, so that they are stored and not computed

    def forward(self, image: Tensor) -> Tensor:
        return _Interpreter(self.program, self._matrix).run(image)

    def _matrix(self, transform: Transform) -> Tensor:
        if not hasattr(self.matrices, transform.name):
            self.matrices.register_buffer(transform.name, transform.matrix())
        return cast("Tensor", getattr(self.matrices, transform.name))


class _Interpreter(fx.Interpreter):
    """Runs a program; complex tensors are pairs.

    Args:
        matrices: gives the matrix of a transform.
    """

    def __init__(self, program: fx.GraphModule, matrices: Callable[[Transform], Tensor]) -> None:
        super().__init__(program)
        self.extra_traceback = False  # of what is refused the message is ours
        self._operations = {**OPERATIONS, **fourier_operations(matrices)}

    def run_node(self, n: fx.Node) -> Any:
        if n.op != "call_function" or not _is_complex(n) or not isinstance(n.target, torch._ops.OpOverload):
            return super().run_node(n)
        operation = self._operations.get(n.target)
        if operation is None:
            raise _refused(n.target)
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        try:
            return operation(*args, **kwargs)
        except (NotImplementedError, TypeError) as error:  # a form of the operator that the table does not know
            raise _refused(n.target) from error


def _keep_in_parts(program: fx.GraphModule) -> None:
    """Complex parameters and constants become two real ones and what joins them; in place."""
    joined: set[str] = set()
    for node in [node for node in program.graph.nodes if node.op == "get_attr"]:
        target = str(node.target)
        owner, name = program.get_submodule(target.rpartition(".")[0]), target.rpartition(".")[2]
        value = None if target in joined else getattr(owner, name)
        if isinstance(value, Tensor) and value.is_complex():
            parts = pair_of(value.detach())
            owner.register_buffer(f"{name}_real", parts.real)
            owner.register_buffer(f"{name}_imaginary", parts.imaginary)
            joined.add(target)
        if target in joined:
            with program.graph.inserting_before(node):
                parts = tuple(program.graph.get_attr(f"{target}_{part}") for part in ("real", "imaginary"))
                whole = program.graph.call_function(torch.ops.aten.complex.default, parts)
            whole.meta = dict(node.meta)
            node.replace_all_uses_with(whole)
            program.graph.erase_node(node)
    for target in joined:
        delattr(program.get_submodule(target.rpartition(".")[0]), target.rpartition(".")[2])
    program.recompile()


def _refused(operator: Any) -> LoweringError:
    name = str(operator).removeprefix("aten.").split(".")[0]
    return LoweringError(
        f"the operator {name} of this network, on complex numbers, has no form in real ones",
        "Write it in products, sums, magnitudes and Fourier transforms.",
    )


def _is_complex(node: fx.Node) -> bool:
    """Whether a node takes or gives a complex tensor."""
    values = [node.meta.get("val"), *(entry.meta.get("val") for entry in node.all_input_nodes)]
    leaves = tree_leaves(values)
    return any(isinstance(value, Tensor) and value.is_complex() for value in leaves)


def _program(network: nn.Module, image: Tensor) -> fx.GraphModule:
    """The network's program, with nothing changed in place, and composite operators on complex numbers taken apart."""
    known = {**OPERATIONS, **fourier_operations(Transform.matrix)}
    program = torch.export.export(network, (image,), strict=False).run_decompositions({})
    for _ in range(_ROUNDS):
        found = {node.target for node in program.graph.nodes if node.op == "call_function" and _is_complex(node)}
        definitions: dict[Any, Callable[..., Any]] = {
            operator: definition
            for operator in found - set(known)
            if (definition := composite_definition(operator)) is not None
        }
        if not definitions:
            break
        program = program.run_decompositions(definitions)
    module = cast("fx.GraphModule", program.module(check_guards=False))
    return fx.GraphModule(module, module.graph)  # torch.export's own kind of module refuses `eval`
