"""The blocks of any network in PyTorch, and what each gives for a picture.

A network may name its blocks by an attribute `blocks`, paths of modules in the order of computation. Of another one
they are its top-level modules; what is only a list of modules stands for its entries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

Run = Callable[[nn.Module], object]


@dataclass(frozen=True)
class Border:
    """One tensor that a block gives.

    Attributes:
        path: of the block's module; call: which of its calls, from 0; number: which of the tensors that it gives.
    """

    path: str
    call: int = 0
    number: int = 0

    @property
    def name(self) -> str:
        """For people: "second", and where there are several "second[1]", "second, call 2"."""
        tensor = f"[{self.number}]" if self.number else ""
        return f"{self.path}{tensor}" + (f", call {self.call + 1}" if self.call else "")


def block_paths(network: nn.Module, run: Run) -> tuple[str, ...]:
    """The paths of a network's blocks; those that do nothing are left out.

    Args:
        run: calls the network with a picture.
    """
    given = getattr(network, "blocks", None)
    named = dict(network.named_modules())
    if isinstance(given, tuple) and given and all(path in named for path in given):
        return tuple(path for path in given if not isinstance(named[path], nn.Identity))
    called: set[str] = set()
    with ExitStack() as hooks:
        for path, module in named.items():
            handle = module.register_forward_pre_hook(lambda *_, path=path: called.add(path))
            hooks.callback(handle.remove)
        run(network)

    def inside(path: str) -> list[str]:
        found: list[str] = []
        for name, child in named[path].named_children():
            below = f"{path}.{name}" if path else name
            if isinstance(child, nn.Identity):
                continue
            found += [below] if below in called else inside(below)
        return found

    blocks = inside("")
    while len(blocks) == 1 and (deeper := inside(blocks[0])):
        blocks = deeper  # a wrapper around the network itself
    return tuple(blocks)


def tensors_of(output: Any) -> list[Tensor]:
    """The floating-point tensors in what a module gives, in their order."""
    if isinstance(output, Tensor):
        return [output] if output.is_floating_point() else []
    if isinstance(output, Mapping):
        output = list(output.values())
    return [tensor for entry in output for tensor in tensors_of(entry)] if isinstance(output, list | tuple) else []


@contextmanager
def catching(
    network: nn.Module, paths: tuple[str, ...], notice: Callable[[Border, Tensor], None] = lambda border, given: None
) -> Iterator[dict[Border, Tensor]]:
    """What the blocks give while the network runs inside, in the order in which it is given; copies.

    Args:
        notice: called with each tensor itself.
    """
    caught: dict[Border, Tensor] = {}
    calls = dict.fromkeys(paths, 0)

    def note(path: str, output: Any) -> None:
        for number, tensor in enumerate(tensors_of(output)):
            border = Border(path, calls[path], number)
            notice(border, tensor)
            caught[border] = tensor.detach().clone()
        calls[path] += 1

    with ExitStack() as hooks:
        for path in paths:
            module = network.get_submodule(path)
            handle = module.register_forward_hook(lambda _, inputs, output, path=path: note(path, output))
            hooks.callback(handle.remove)
        yield caught


def dependents(network: nn.Module, paths: tuple[str, ...], border: Border, run: Run) -> frozenset[Border]:
    """The borders whose values follow from another's: those that change when that one is disturbed."""
    with catching(network, paths) as plain:
        run(network)
    calls = 0

    def disturb(module: nn.Module, inputs: Any, output: Any) -> Any:
        nonlocal calls
        calls += 1
        return _disturbed(output, border.number) if calls == border.call + 1 else None

    handle = network.get_submodule(border.path).register_forward_hook(disturb)
    try:
        with catching(network, paths) as moved:
            run(network)
    finally:
        handle.remove()
    return frozenset(
        entry
        for entry, value in plain.items()
        if (entry.path, entry.call) != (border.path, border.call) and not torch.equal(value, moved[entry])
    )


def _disturbed(output: Any, number: int) -> Any:
    """What a module gave, with one of its tensors moved."""
    wanted = tensors_of(output)[number]

    def moved(entry: Any) -> Any:
        if entry is wanted:
            return entry * 1.5 + 0.5
        if isinstance(entry, Mapping):
            return type(entry)({key: moved(value) for key, value in entry.items()})  # type: ignore[call-arg]
        if isinstance(entry, tuple) and hasattr(entry, "_fields"):
            return type(entry)(*(moved(value) for value in entry))
        return type(entry)(moved(value) for value in entry) if isinstance(entry, list | tuple) else entry

    return moved(output)
