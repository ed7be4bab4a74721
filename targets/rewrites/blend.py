"""The decoder's boundary blend with one product instead of two."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from s2m_edge.network.blocks import BoundaryFocusedDecoder
from s2m_edge.targets.rewrites.replace import replace_modules

Network = TypeVar("Network", bound=nn.Module)


class InterpolatingDecoder(nn.Module):
    """A BoundaryFocusedDecoder that blends by region + beta * (refined - region).

    The same as region * (1 - beta) + refined * beta, without the scalar 1: a delegate that has no
    scalar-minus-tensor needs that 1 as a tensor made by a portable operator in every run. Shapes as in
    BoundaryFocusedDecoder.
    """

    def __init__(self, decoder: BoundaryFocusedDecoder) -> None:
        super().__init__()
        self.region = decoder.region
        self.boundary = decoder.boundary
        self.refine = decoder.refine
        self.project = decoder.project

    def forward(self, deep: Tensor, skip: Tensor) -> tuple[Tensor, Tensor]:
        height, width = skip.shape[-2:]
        raised = F.interpolate(deep, size=(height, width), mode="bilinear", align_corners=False)
        region = self.region(torch.cat((raised, skip), dim=1))
        beta = torch.sigmoid(self.boundary(region))
        refined = self.refine(region * beta)
        return self.project(region + beta * (refined - region)), beta


def blend_by_interpolation(network: Network) -> Network:
    """A copy of `network` whose decoder blocks blend by interpolation; equal to rounding."""
    with torch.no_grad():
        return replace_modules(network, BoundaryFocusedDecoder, InterpolatingDecoder, rewrite="blend_by_interpolation")
