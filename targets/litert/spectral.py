"""The spectral filter as one operator of the artifact: a StableHLO composite, whose meaning travels with the model.

The composite s2m_edge.spectral_filter takes three tensors:

    image  B x C x H x W
    even   C x M2 x M1, P of `s2m_edge.network.spectral.dft`, width frequencies first
    odd    C x M2 x M1, Q likewise

Its decomposition is of fully connected layers, transposes and products, which the stock runtime executes. A runtime
with a kernel of that name has all it needs in the operands: M1 and M2 cosines along either axis, and H and W.
"""

from __future__ import annotations

from typing import TypeVar

from torch import Tensor, nn
from torch.nn.functional import linear

from s2m_edge.targets.litert.operators import apart
from s2m_edge.targets.rewrites.compact_spectral import CompactSpectralBranch, apply_compact_gains
from s2m_edge.targets.rewrites.spectral import replace_spectral_branches

Network = TypeVar("Network", bound=nn.Module)

COMPOSITE = "s2m_edge.spectral_filter"
VERSION = 1


class CompositeSpectralBranch(CompactSpectralBranch):
    """A SpectralBranch for export only: its filter is marked as one composite. Shapes as in SpectralBranch.

    The basis is no operand: inside the decomposition it is a constant, which fully connected layers want.
    """

    def forward(self, x: Tensor) -> Tensor:
        from litert_torch.backend.composite import StableHLOCompositeBuilder

        builder = StableHLOCompositeBuilder(COMPOSITE, {"version": VERSION})
        # The converter's layout pass trips over a mark directly behind a dequantization.
        image, even, odd = builder.mark_inputs(apart(x), self.direct, self.crossed)
        analysis = self.analysis if self.square else self.row_analysis
        synthesis = self.synthesis if self.square else self.row_synthesis
        spectrum = linear(linear(image, self.analysis).transpose(-2, -1), analysis)
        filtered = linear(apply_compact_gains(spectrum, even, odd), synthesis)
        return self.norm(builder.mark_outputs(linear(filtered.transpose(-2, -1), self.synthesis)))


def spectral_as_composite(network: Network, image: Tensor) -> Network:
    """A copy of `network`, for export only, with every spectral filter as one composite.

    Args:
        image: of the network's size, 1 x channels x height x width.
    """
    return replace_spectral_branches(network, image, CompositeSpectralBranch)
