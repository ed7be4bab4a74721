"""Adaptive max pooling by maxima over windows of a known size, for backends that lack the operator."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from s2m_edge.targets.rewrites.replace import Network, replace_modules


class WindowedMaxPool(nn.Module):
    """What nn.AdaptiveMaxPool2d computes. B x C x H x W to B x C x rows x columns.

    Args:
        size: rows and columns; None keeps an axis as it is.
    """

    def __init__(self, size: tuple[int | None, int | None]) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        rows, columns = self.size[0] or height, self.size[1] or width
        if rows == columns == 1:
            return x.amax((-2, -1), keepdim=True)
        if height % rows == 0 and width % columns == 0:
            return functional.max_pool2d(x, (height // rows, width // columns), (height // rows, width // columns))
        return _along(_along(x, rows, -2), columns, -1)


def _along(x: Tensor, count: int, axis: int) -> Tensor:
    """Maxima of `count` windows along an axis, which overlap where the length is no multiple."""
    length = x.shape[axis]
    spans = ((index * length // count, -(-(index + 1) * length // count)) for index in range(count))
    return torch.cat([x.narrow(axis, first, last - first).amax(axis, keepdim=True) for first, last in spans], axis)


def windowed_max_pools(network: Network) -> Network:
    """A copy of `network` without nn.AdaptiveMaxPool2d; one that gives places as well stays."""

    def make(pool: nn.AdaptiveMaxPool2d) -> nn.Module:
        size = pool.output_size
        rows, columns = size if isinstance(size, tuple) else (size, size)
        return pool if pool.return_indices else WindowedMaxPool((rows, columns))

    return replace_modules(network, nn.AdaptiveMaxPool2d, make)
