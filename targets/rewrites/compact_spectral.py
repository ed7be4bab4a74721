"""The spectral filter as constant matrices, every constant stored once: for artifacts whose size counts."""

from __future__ import annotations

import torch
from torch import Tensor

from s2m_edge.blocks import SpectralBranch
from s2m_edge.model import S2MNet
from s2m_edge.spectral.dft import frequency_count
from s2m_edge.targets.rewrites.spectral import MatmulSpectralBranch, replace_spectral_branches


class CompactSpectralBranch(MatmulSpectralBranch):
    """A SpectralBranch as constant matrices whose gains P and Q are stored once each instead of four times.

    The module of `s2m_edge.targets.rewrites.spectral` repeats them, which costs nothing in time and in a float network
    little in size; of an int8 program it would be a sixth. With the spectrum's blocks T = [a b; c d],

        Z = [P a - Q d, P b + Q c; P c + Q b, P d - Q a].

    Args:
        branch: the trained branch.
        length: H = W of its map, in pixels.
    """

    def __init__(self, branch: SpectralBranch, length: int) -> None:
        super().__init__(branch, length)
        self.count = frequency_count(branch.filter.shape[-1])
        self.direct = self.direct[:, : self.count, : self.count].contiguous()
        self.crossed = self.crossed[:, : self.count, self.count :].contiguous()

    def filtered(self, spectrum: Tensor) -> Tensor:
        rows = spectrum[..., : self.count, :], spectrum[..., self.count :, :]
        (a, b), (c, d) = ((row[..., : self.count], row[..., self.count :]) for row in rows)
        p, q = self.direct, self.crossed
        top = torch.cat((p * a - q * d, p * b + q * c), dim=-1)
        bottom = torch.cat((p * c + q * b, p * d - q * a), dim=-1)
        return torch.cat((top, bottom), dim=-2)


def compact_spectral(network: S2MNet) -> S2MNet:
    """A copy of `network` with every spectral branch as constant matrices, the gains stored once."""
    return replace_spectral_branches(network, CompactSpectralBranch)
