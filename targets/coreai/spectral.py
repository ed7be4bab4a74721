"""The spectral filter as Core AI gets it: constant matrices, each stored once, or one call of our Metal kernel.

With the basis D = [cosines, sines] of an axis (`s2m_edge.spectral.dft`), height first and not transposed:

    T = Dh' x Dw        Z = gains(T)        y = Dh Z Dw'

The four blocks of T, cc, cs, sc and ss (the height's part first), share one gain P and one cross gain Q, so that is
what is stored, a quarter of what the tiled form of the other targets takes:

    Z_cc = P cc - Q ss    Z_cs = P cs + Q sc    Z_sc = P sc + Q cs    Z_ss = P ss - Q cc
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from s2m_edge.blocks import SpectralBranch
from s2m_edge.model import S2MNet
from s2m_edge.spectral.dft import dft_basis, fold_filter, frequency_count
from s2m_edge.spectral.reference import crop_filter
from s2m_edge.targets.rewrites import replace_spectral_branches

FilterCall = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]


def half_gains(weight: Tensor) -> tuple[Tensor, Tensor]:
    """P and Q of a filter C x K1 x K2: two tensors C x M1 x M2 of its dtype."""
    rows, columns = (frequency_count(kept) for kept in weight.shape[-2:])
    direct, crossed = fold_filter(weight)  # tiled, width frequencies first
    halves = direct[:, :columns, :rows], crossed[:, :columns, rows:]
    return halves[0].transpose(-2, -1).contiguous(), halves[1].transpose(-2, -1).contiguous()


def filter_by_matrices(x: Tensor, rows: Tensor, columns: Tensor, direct: Tensor, crossed: Tensor) -> Tensor:
    """The spectral filter as four matrix products and the gains between them.

    Args:
        x: B x C x H x W.
        rows, columns: Dh, H x 2*M1, and Dw, W x 2*M2.
        direct, crossed: P and Q, C x M1 x M2.

    Returns:
        B x C x H x W.
    """
    spectrum = torch.matmul(rows.T, torch.matmul(x, columns))
    m1, m2 = direct.shape[-2:]
    cc, cs = spectrum[..., :m1, :m2], spectrum[..., :m1, m2:]
    sc, ss = spectrum[..., m1:, :m2], spectrum[..., m1:, m2:]
    cosines = torch.cat((direct * cc - crossed * ss, direct * cs + crossed * sc), dim=-1)
    sines = torch.cat((direct * sc + crossed * cs, direct * ss - crossed * cc), dim=-1)
    return torch.matmul(torch.matmul(rows, torch.cat((cosines, sines), dim=-2)), columns.T)


class ConstantSpectralBranch(nn.Module):
    """A SpectralBranch whose filter is folded into constants for square maps of one size.

    Args:
        branch: the trained branch.
        length: H = W of its map, in pixels.
        call: what computes the filter of x, rows, columns, direct and crossed, see `filter_by_matrices`.
    """

    basis: Tensor
    direct: Tensor
    crossed: Tensor

    def __init__(self, branch: SpectralBranch, length: int, call: FilterCall) -> None:
        super().__init__()
        weight = crop_filter(branch.filter.detach().double(), length, length)
        direct, crossed = half_gains(weight)
        self.register_buffer("basis", dft_basis(length, weight.shape[-1]).to(branch.filter.dtype))
        self.register_buffer("direct", direct.to(branch.filter.dtype))
        self.register_buffer("crossed", crossed.to(branch.filter.dtype))
        self.norm = branch.norm
        self.call = call

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.call(x, self.basis, self.basis, self.direct, self.crossed))


def with_constant_filters(network: S2MNet, call: FilterCall = filter_by_matrices) -> S2MNet:
    """A copy of `network` whose spectral branches hold their constants and compute through `call`."""
    return replace_spectral_branches(network, lambda branch, length: ConstantSpectralBranch(branch, length, call))
