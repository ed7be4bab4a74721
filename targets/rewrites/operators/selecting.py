"""Choosing values by their order or their place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, fx

from s2m_edge.targets.rewrites.operators.calls import Rule, used_results


def median_of_all(node: fx.Node) -> Callable[..., Any] | None:
    """A rule for aten.median: of an even number of values the lower one of the middle two. No NaN."""
    return lambda x: _median(x.flatten(), 0, False)


def median_along(node: fx.Node) -> Callable[..., Any] | None:
    """A rule for aten.median.dim, unless its places are taken as well."""
    if used_results(node) <= {0}:
        return lambda x, dim, keepdim=False: (_median(x, dim, keepdim),)
    return None


def _median(x: Tensor, axis: int, keepdim: bool) -> Tensor:
    count = x.shape[axis]
    return x.topk(count - (count - 1) // 2, axis)[0].amin(axis, keepdim=keepdim)


def ordering(node: fx.Node) -> Callable[..., Any] | None:
    """A rule for aten.sort: the largest, or the least, of as many as there are. Which of equal values comes first is
    left to the backend, so that this is for those alone that have no order of their own."""
    return lambda x, dim=-1, descending=False: tuple(x.topk(x.shape[dim], dim, largest=descending))


def places_in_order(node: fx.Node) -> Callable[..., Any] | None:
    """A rule for aten.argsort, as `ordering`."""
    return lambda x, dim=-1, descending=False: x.topk(x.shape[dim], dim, largest=descending)[1]


BY_TAKING: Mapping[Any, Rule] = {
    torch.ops.aten.argsort.default: places_in_order,
    torch.ops.aten.sort.default: ordering,
}
"""Rules for a backend that has no order, but takes the largest few."""


def copy_of_its_size(node: fx.Node) -> Callable[..., Any] | None:
    """A rule for aten.copy, which assignments to a part of a tensor become: what is copied, as large as the part."""
    return lambda x, source, non_blocking=False: source.to(x.dtype).expand(x.shape)
