"""Poolings over windows that not every backend has: adaptive maxima, and windows that reach over the edge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor, fx
from torch.nn import functional

from s2m_edge.targets.rewrites.operators.calls import argument, pair, used_results

Pair = tuple[int, int]


def adaptive_maxima(node: fx.Node) -> Callable[..., Any] | None:
    """A rule for aten.adaptive_max_pool2d, unless its places are taken as well."""
    return _adaptive_maxima if used_results(node) <= {0} else None


def _adaptive_maxima(x: Tensor, output_size: Sequence[int]) -> tuple[Tensor]:
    """Maxima over windows of a known size. B x C x H x W, or C x H x W, to rows x columns in the last two axes."""
    (height, width), (rows, columns) = x.shape[-2:], output_size
    if rows == columns == 1:
        return (x.amax((-2, -1), keepdim=True),)
    if height % rows == 0 and width % columns == 0:
        window = (height // rows, width // columns)
        return (functional.max_pool2d(x, window, window),)
    return (_along(_along(x, rows, -2), columns, -1),)


def _along(x: Tensor, count: int, axis: int) -> Tensor:
    """Maxima of `count` windows along an axis, which overlap where the length is no multiple."""
    length = x.shape[axis]
    spans = ((index * length // count, -(-(index + 1) * length // count)) for index in range(count))
    return torch.cat([x.narrow(axis, first, last - first).amax(axis, keepdim=True) for first, last in spans], axis)


def whole_windows(node: fx.Node) -> Callable[..., Any] | None:
    """A rule for aten.max_pool2d and aten.avg_pool2d that rounds the number of windows up."""
    if not argument(node, "ceil_mode"):
        return None
    return _mean_over_edge if "avg" in str(node.target) else _maximum_over_edge


def counted_windows(node: fx.Node) -> Callable[..., Any] | None:
    """A rule for aten.avg_pool2d that rounds up, or leaves what is padded out of the count."""
    counted = any(argument(node, "padding")) and not argument(node, "count_include_pad")
    return _mean_over_edge if counted else whole_windows(node)


def _maximum_over_edge(
    x: Tensor,
    kernel_size: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    dilation: Sequence[int] = (1,),
    ceil_mode: bool = True,
) -> Tensor:
    window, step, before, spread = pair(kernel_size), pair(stride or kernel_size), pair(padding), pair(dilation)
    reach = tuple(between * (length - 1) + 1 for length, between in zip(window, spread, strict=True))
    left, right, top, bottom = _margins(x, reach, step, before)
    padded = functional.pad(x, (left, right, top, bottom), value=-torch.inf)
    return functional.max_pool2d(padded, window, step, dilation=spread)


def _mean_over_edge(
    x: Tensor,
    kernel_size: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    window, step, before = pair(kernel_size), pair(stride or kernel_size), pair(padding)
    left, right, top, bottom = _margins(x, window, step, before, ceil_mode)
    means = functional.avg_pool2d(functional.pad(x, (left, right, top, bottom)), window, step)
    if divisor_override is not None:
        return means * (prod(window) / divisor_override)
    # What is padded on purpose counts if asked to; what lies beyond that never does.
    counted = torch.zeros(1, 1, x.shape[-2] + top + bottom, x.shape[-1] + left + right, dtype=x.dtype)
    margin_y, margin_x = before if count_include_pad else (0, 0)
    rows = slice(top - margin_y, top + x.shape[-2] + margin_y)
    columns = slice(left - margin_x, left + x.shape[-1] + margin_x)
    counted[..., rows, columns] = 1.0
    return means / functional.avg_pool2d(counted, window, step)


def _margins(
    x: Tensor, window: Sequence[int], step: Pair, padding: Pair, round_up: bool = True
) -> tuple[int, int, int, int]:
    """Left, right, top, bottom: what has to be added so that every window is whole."""
    margins: list[int] = []
    for axis in (1, 0):
        length, before = x.shape[axis - 2], padding[axis]
        if not round_up:
            margins += [before, before]
            continue
        windows = -(-(length + 2 * before - window[axis]) // step[axis]) + 1
        if (windows - 1) * step[axis] >= length + before:  # none begins beyond the picture
            windows -= 1
        margins += [before, (windows - 1) * step[axis] + window[axis] - length - before]
    return margins[0], margins[1], margins[2], margins[3]
