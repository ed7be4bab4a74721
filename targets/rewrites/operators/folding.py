"""Folding columns back into a picture (aten.col2im) by copies and sums."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx
from torch.nn import functional

from s2m_edge.targets.rewrites.operators.calls import argument


def folding(node: fx.Node) -> Callable[..., Any] | None:
    """A rule for aten.col2im of one stride for both axes."""
    steps = argument(node, "stride")
    return _folded if steps[0] == steps[-1] else None


def _folded(
    columns: Tensor,
    output_size: Sequence[int],
    kernel_size: Sequence[int],
    dilation: Sequence[int],
    padding: Sequence[int],
    stride: Sequence[int],
) -> Tensor:
    """B x (C x rows x columns of the window) x windows to B x C x H x W: what falls on one place is added up."""
    step, height, width = stride[0], output_size[0], output_size[1]
    rows, across = (
        (output_size[axis] + 2 * padding[axis] - dilation[axis] * (kernel_size[axis] - 1) - 1) // step + 1
        for axis in (0, 1)
    )
    count = kernel_size[0] * kernel_size[1]
    parts = columns.unflatten(2, (rows, across)).unflatten(1, (columns.shape[1] // count, count))
    side_by_side = tuple(kernel_size) == (step, step) and tuple(dilation) == (1, 1)
    if side_by_side:
        picture = functional.pixel_shuffle(parts.flatten(1, 2), step)
        return _cut(picture, padding, height, width)
    total: Tensor | None = None
    for number in range(count):
        down, right = (number // kernel_size[1]) * dilation[0], (number % kernel_size[1]) * dilation[1]
        spread = _spread(parts[:, :, number], step)
        placed = _cut(spread, (padding[0] - down, padding[1] - right), height, width)
        total = placed if total is None else total + placed
    assert total is not None
    return total


def _spread(x: Tensor, step: int) -> Tensor:
    """B x C x h x w with zeros between its values, step x h rows and step x w columns."""
    if step == 1:
        return x
    apart = torch.cat([x.unsqueeze(2)] + [torch.zeros_like(x).unsqueeze(2)] * (step**2 - 1), 2)
    return functional.pixel_shuffle(apart.flatten(1, 2), step)


def _cut(x: Tensor, first: Sequence[int], height: int, width: int) -> Tensor:
    """The window of height x width that begins at `first`, zeros where it lies outside."""
    below, beside = height + first[0] - x.shape[-2], width + first[1] - x.shape[-1]
    margins = (-first[1], beside, -first[0], below)
    padded = functional.pad(x, tuple(max(margin, 0) for margin in margins)) if any(m > 0 for m in margins) else x
    return padded[..., max(first[0], 0) :, max(first[1], 0) :][..., :height, :width]
