"""Replacing modules of one type throughout a network, on a copy.

A rewrite takes any network, changes what it recognises, and leaves the rest. A network may say by its attribute
`expected_rewrites` which of them have to find something in it: of S2M-Net a rewrite that matches nothing is a fault,
because it would pass unnoticed and cost time.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TypeVar, cast

from torch import nn

from s2m_edge.errors import LoweringError

Old = TypeVar("Old", bound=nn.Module)
Network = TypeVar("Network", bound=nn.Module)


def replace_modules(
    network: Network, old: type[Old], make: Callable[[Old], nn.Module], *, rewrite: str = ""
) -> Network:
    """A copy of `network` in which every module of type `old` is `make(module)`.

    Args:
        rewrite: the rewrite's name, for `require_match`.

    Raises:
        LoweringError: there is none, and the network expects this rewrite.
    """
    rewritten = copy.deepcopy(network)
    found = [(name, module) for name, module in rewritten.named_modules() if isinstance(module, old)]
    for name, module in found:
        made = make(module).train(module.training)
        if not name:  # the network itself is such a module
            return cast("Network", made)
        parent_name, _, attribute = name.rpartition(".")
        setattr(rewritten.get_submodule(parent_name), attribute, made)
    require_match(network, rewrite, len(found))
    return rewritten


def require_match(network: nn.Module, rewrite: str, matches: int) -> None:
    """Raise LoweringError where a network expects a rewrite that found nothing in it."""
    if matches == 0 and rewrite in getattr(network, "expected_rewrites", ()):
        raise LoweringError(
            f"the rewrite {rewrite} matches nothing in a network that expects it",
            "The network's blocks and the rewrite have come apart; please report it.",
        )
