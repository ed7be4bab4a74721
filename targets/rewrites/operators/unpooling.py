"""Unpooling by the places of maxima, where pooling and unpooling have the same windows side by side (SegNet's)."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx
from torch.nn import functional

from s2m_edge.targets.rewrites.operators.calls import argument, pair, used_results

aten = torch.ops.aten
POOL, UNPOOL = aten.max_pool2d_with_indices.default, aten.max_unpool2d.default


def pooling_with_places(node: fx.Node) -> Callable[..., Any] | None:
    """A rule for aten.max_pool2d_with_indices whose places go to `unpooling_to_places` and nowhere else.

    Backends lack them, or number them within the whole picture, where half precision no longer tells neighbours apart.
    Here a place is a number within its own window.
    """
    return _places(_window(node)) if _is_paired(node) else None


def unpooling_to_places(node: fx.Node) -> Callable[..., Any] | None:
    """A rule for aten.max_unpool2d of places from `pooling_with_places`."""
    pool = _origin(node)
    return _unpooling(_window(pool)) if pool is not None and _is_paired(pool) else None


def _places(window: int) -> Callable[..., tuple[Tensor, Tensor]]:
    def pooled(x: Tensor, *options: Any, **named: Any) -> tuple[Tensor, Tensor]:
        """Maxima B x C x h x w and where in its window the first of each lies, from 0 to window^2 - 1."""
        rows, columns = x.shape[-2] // window, x.shape[-1] // window
        whole = x[..., : rows * window, : columns * window]
        values = functional.pixel_unshuffle(whole, window).unflatten(1, (x.shape[1], window**2))
        largest = values.amax(2, keepdim=True)
        numbers = _numbers(window, x.dtype)
        first = torch.where(values == largest, numbers, torch.full_like(numbers, window**2)).amin(2)
        return largest.squeeze(2), first

    return pooled


def _unpooling(window: int) -> Callable[..., Tensor]:
    def unpooled(x: Tensor, places: Tensor, output_size: Sequence[int]) -> Tensor:
        """Each value in its place of its window, and zeros. B x C x h x w to B x C x H x W."""
        here = places.unsqueeze(2) == _numbers(window, places.dtype)
        spread = torch.where(here, x.unsqueeze(2), torch.zeros(1, dtype=x.dtype)).flatten(1, 2)
        filled = functional.pixel_shuffle(spread, window)
        beyond = (output_size[1] - filled.shape[-1], output_size[0] - filled.shape[-2])
        return functional.pad(filled, (0, beyond[0], 0, beyond[1])) if any(beyond) else filled

    return unpooled


def _numbers(window: int, dtype: torch.dtype) -> Tensor:
    """0 to window^2 - 1 in the third of five axes."""
    return torch.arange(window**2, dtype=dtype).view(1, 1, -1, 1, 1)


def _is_paired(pool: fx.Node) -> bool:
    """Whether windows are square, side by side and within the picture, and every unpooling goes back to its size."""
    if used_results(pool) != {0, 1} and used_results(pool) != {1}:
        return False
    window, step = pair(argument(pool, "kernel_size")), argument(pool, "stride")
    plain = set(window) == set(pair(step or window)) == {window[0]}
    plain = plain and set(pair(argument(pool, "padding"))) == {0} and set(pair(argument(pool, "dilation"))) == {1}
    if not plain or argument(pool, "ceil_mode"):
        return False
    takers = [user for taken in pool.users if taken.args[1] == 1 for user in taken.users]
    size = pool.args[0].meta["val"].shape  # type: ignore[union-attr]
    same = [list(user.args[2]) == list(size[-2:]) for user in takers if user.target is UNPOOL]  # type: ignore[arg-type]
    return len(size) == 4 and len(same) == len(takers) and all(same)


def _origin(unpool: fx.Node) -> fx.Node | None:
    """The pooling whose places an unpooling takes, if it takes them as they are."""
    taken = unpool.args[1]
    if not isinstance(taken, fx.Node) or taken.target is not operator.getitem or taken.args[1] != 1:
        return None
    pool = taken.args[0]
    return pool if isinstance(pool, fx.Node) and pool.target is POOL else None


def _window(pool: fx.Node) -> int:
    return pair(argument(pool, "kernel_size"))[0]
