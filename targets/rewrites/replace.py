"""Replacing modules of one type throughout a network, on a copy."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TypeVar

from torch import nn

Old = TypeVar("Old", bound=nn.Module)
Network = TypeVar("Network", bound=nn.Module)


def replace_modules(
    network: Network, old: type[Old], make: Callable[[Old], nn.Module], *, may_lack: bool = False
) -> Network:
    """A copy of `network` in which every module of type `old` is `make(module)`.

    Args:
        may_lack: for networks whose configuration has none of them.

    Raises:
        ValueError: there is none; a rewrite that matches nothing would pass unnoticed.
    """
    rewritten = copy.deepcopy(network)
    found = [(name, module) for name, module in rewritten.named_modules() if isinstance(module, old)]
    if not found and not may_lack:
        raise ValueError(f"the network has no module of type {old.__name__}")
    for name, module in found:
        parent_name, _, attribute = name.rpartition(".")
        setattr(rewritten.get_submodule(parent_name), attribute, make(module).train(module.training))
    return rewritten
