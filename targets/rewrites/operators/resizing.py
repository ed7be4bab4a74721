"""Enlarging by the nearest neighbour as a selection of rows and columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx
from torch.nn import functional

from s2m_edge.targets.rewrites.operators.calls import argument


def nearest_of_parts(node: fx.Node) -> Callable[..., Any] | None:
    """A rule for aten.upsample_nearest2d.vec by factors that are not whole.

    Which row is the nearest is PyTorch's own answer for the numbers of the rows: backends divide and round otherwise.
    """
    x = node.args[0].meta["val"]  # type: ignore[union-attr]
    size, factors = argument(node, "output_size"), argument(node, "scale_factors")
    places = [
        _places(x.shape[axis - 2], None if size is None else size[axis], None if factors is None else factors[axis])
        for axis in (0, 1)
    ]
    if has_whole_factors(x, *map(len, places)):
        return None

    def selected(x: Tensor, *options: Any, **named: Any) -> Tensor:
        return x.index_select(2, torch.tensor(places[0])).index_select(3, torch.tensor(places[1]))

    return selected


def has_whole_factors(x: Tensor, height: int, width: int) -> bool:
    """Whether every pixel of B x C x h x w becomes a block of the same size."""
    return height % x.shape[-2] == 0 and width % x.shape[-1] == 0


def _places(length: int, size: int | None, factor: float | None) -> list[int]:
    """For each new row, which of `length` it is; of size and factor, one is given."""
    rows = torch.arange(length, dtype=torch.float32).view(1, 1, -1)
    return functional.interpolate(rows, size=size, scale_factor=factor).flatten().to(torch.int64).tolist()
