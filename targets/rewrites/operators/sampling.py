"""Sampling pictures at places that a network computes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import fx


def sampling(node: fx.Node) -> Callable[..., Any] | None:
    """A rule for aten.grid_sampler of pictures: PyTorch's own definition by gathering and sums."""
    from torch._decomp import decomposition_table

    is_picture = node.args[0].meta["val"].dim() == 4  # type: ignore[union-attr]
    return decomposition_table[torch.ops.aten.grid_sampler_2d.default] if is_picture else None
