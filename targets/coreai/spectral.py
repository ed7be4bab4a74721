"""The spectral filter as Core AI gets it: constant matrices, each stored once, or one call of our Metal kernel.

With the basis D = [cosines, sines] of an axis (`s2m_edge.network.spectral.dft`), height first and not transposed:

    T = Dh' x Dw        Z = gains(T)        y = Dh Z Dw'

The four blocks of T, cc, cs, sc and ss (the height's part first), share one gain P and one cross gain Q, so that is
what is stored, a quarter of what the tiled form of the other targets takes:

    Z_cc = P cc - Q ss    Z_cs = P cs + Q sc    Z_sc = P sc + Q cs    Z_ss = P ss - Q cc
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from s2m_edge.network.blocks import SpectralBranch
from s2m_edge.network.spectral.dft import dft_basis, fold_filter, frequency_count
from s2m_edge.network.spectral.reference import crop_filter
from s2m_edge.targets.rewrites.spectral import Network, replace_spectral_branches

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
    """A SpectralBranch whose filter is folded into constants for maps of one size.

    Args:
        branch: the trained branch.
        height, width: of its map, in pixels.
        call: what computes the filter of x, rows, columns, direct and crossed, see `filter_by_matrices`.
    """

    basis: Tensor
    row_basis: Tensor
    direct: Tensor
    crossed: Tensor

    def __init__(self, branch: SpectralBranch, height: int, width: int, call: FilterCall) -> None:
        super().__init__()
        weight = crop_filter(branch.filter.detach().double(), height, width)
        direct, crossed = half_gains(weight)
        self.register_buffer("basis", dft_basis(width, weight.shape[-1]).to(branch.filter.dtype))
        self.square = height == width and weight.shape[-2] == weight.shape[-1]
        if not self.square:
            self.register_buffer("row_basis", dft_basis(height, weight.shape[-2]).to(branch.filter.dtype))
        self.register_buffer("direct", direct.to(branch.filter.dtype))
        self.register_buffer("crossed", crossed.to(branch.filter.dtype))
        self.norm = branch.norm
        self.call = call

    def forward(self, x: Tensor) -> Tensor:
        rows = self.basis if self.square else self.row_basis
        return self.norm(self.call(x, rows, self.basis, self.direct, self.crossed))


def with_constant_filters(network: Network, image: Tensor, call: FilterCall = filter_by_matrices) -> Network:
    """A copy of `network` whose spectral branches hold their constants and compute through `call`.

    Args:
        image: of the network's size, 1 x channels x height x width.
    """
    return replace_spectral_branches(
        network, image, lambda branch, height, width: ConstantSpectralBranch(branch, height, width, call)
    )
