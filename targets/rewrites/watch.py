"""What a network calls on its way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

Notable = Mapping[Any, Callable[..., bool]]
"""By operator, whether a call of it is worth noting, from its arguments; of the others every call is."""


@dataclass(frozen=True)
class Calls:
    """What a network called.

    Attributes:
        operators: composite ones by what they are made of.
        complex_numbers: whether one of them took or gave a complex tensor.
    """

    operators: frozenset[Any]
    complex_numbers: bool


def calls_of(network: nn.Module, image: Tensor, notable: Notable | None = None) -> Calls:
    """Run `network` once and watch.

    Args:
        image: as the network takes it.
        notable: which calls are noted.
    """
    watch = _Watch(notable or {})
    with watch, torch.no_grad():
        network(image)
    return Calls(frozenset(watch.operators), watch.complex_numbers)


class _Watch(TorchDispatchMode):
    def __init__(self, notable: Notable) -> None:
        super().__init__()
        self.notable = notable
        self.operators: set[Any] = set()
        self.complex_numbers = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if self.notable.get(func, _always)(*args, **kwargs):
            self.operators.add(func)
        values = tree_leaves((args, result))
        self.complex_numbers |= any(isinstance(value, Tensor) and value.is_complex() for value in values)
        return result


def _always(*args: Any, **kwargs: Any) -> bool:
    return True
