"""The product behind a concatenation as a sum of products, so that the concatenated map is never written."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn

from s2m_edge.network.blocks import MultiReceptiveField
from s2m_edge.targets.rewrites.replace import replace_modules

Network = TypeVar("Network", bound=nn.Module)


class SummedReceptiveField(nn.Module):
    """A MultiReceptiveField whose 1x1 fusion takes its branches one by one: W [a; b; c] = W1 a + W2 b + W3 c.

    A runtime that adds into a convolution's result gets rid of the network's largest tensor, 3 F channels in stage 1,
    which a concatenation writes and reads once more. Shapes as in MultiReceptiveField.
    """

    def __init__(self, block: MultiReceptiveField) -> None:
        super().__init__()
        convolution, *rest = block.fuse
        assert isinstance(convolution, nn.Conv2d)
        self.expand = block.expand
        self.branches = block.branches
        self.products = nn.ModuleList()
        for index, weight in enumerate(convolution.weight.detach().chunk(len(block.branches), dim=1)):
            product = nn.Conv2d(weight.shape[1], weight.shape[0], 1, bias=index == 0).to(weight)
            product.weight.copy_(weight)
            if product.bias is not None:
                product.bias.copy_(torch.zeros(1) if convolution.bias is None else convolution.bias)
            self.products.append(product)
        self.rest = nn.Sequential(*rest)
        self.squeeze_excitation = block.squeeze_excitation
        self.project = block.project
        self.dropout = block.dropout

    def forward(self, x: Tensor) -> Tensor:
        expanded = self.expand(x)
        first, *others = (
            product(branch(expanded)) for product, branch in zip(self.products, self.branches, strict=True)
        )
        for other in others:
            first = first + other
        return x + self.dropout(self.project(self.squeeze_excitation(self.rest(first))))


def sum_branches(network: Network) -> Network:
    """A copy of `network` in which no MRF-SE block concatenates its branches; equal to rounding.

    Comes after `fold_batch_norm`: a BatchNorm between sum and activation would have to stay.
    """
    with torch.no_grad():
        return replace_modules(network, MultiReceptiveField, SummedReceptiveField, rewrite="sum_branches")
