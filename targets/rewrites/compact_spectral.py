"""The spectral filter as constant matrices, every constant stored once: for artifacts whose size counts."""

from __future__ import annotations

import torch
from torch import Tensor

from s2m_edge.network.blocks import SpectralBranch
from s2m_edge.targets.rewrites.spectral import MatmulSpectralBranch, Network, replace_spectral_branches


class CompactSpectralBranch(MatmulSpectralBranch):
    """A SpectralBranch as constant matrices whose gains P and Q are stored once each instead of four times.

    The module of `s2m_edge.targets.rewrites.spectral` repeats them, which costs nothing in time and in a float network
    little in size; of an int8 program it would be a sixth. With the spectrum's blocks T = [a b; c d],

        Z = [P a - Q d, P b + Q c; P c + Q b, P d - Q a].

    Args:
        branch: the trained branch.
        height, width: of its map, in pixels.
    """

    def __init__(self, branch: SpectralBranch, height: int, width: int) -> None:
        super().__init__(branch, height, width)
        # Width frequencies first, as `fold_filter` gives them.
        across, down = (length // 2 for length in self.direct.shape[-2:])
        self.direct = self.direct[:, :across, :down].contiguous()
        self.crossed = self.crossed[:, :across, down:].contiguous()

    def filtered(self, spectrum: Tensor) -> Tensor:
        return apply_compact_gains(spectrum, self.direct, self.crossed)


def apply_compact_gains(spectrum: Tensor, p: Tensor, q: Tensor) -> Tensor:
    """Z of the equation above.

    Args:
        spectrum: T, B x C x 2*M2 x 2*M1, width frequencies first.
        p, q: the gains, C x M2 x M1.
    """
    across, down = p.shape[-2:]
    rows = spectrum[..., :across, :], spectrum[..., across:, :]
    (a, b), (c, d) = ((row[..., :down], row[..., down:]) for row in rows)
    top = torch.cat((p * a - q * d, p * b + q * c), dim=-1)
    bottom = torch.cat((p * c + q * b, p * d - q * a), dim=-1)
    return torch.cat((top, bottom), dim=-2)


def compact_spectral(network: Network, image: Tensor) -> Network:
    """A copy of `network` with every spectral branch as constant matrices, the gains stored once; `image` as there."""
    return replace_spectral_branches(network, image, CompactSpectralBranch)
