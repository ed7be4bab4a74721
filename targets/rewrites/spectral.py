"""The spectral filter as constant matrices: what `--spectral matmul` lowers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from s2m_edge.blocks import SpectralBranch
from s2m_edge.model import S2MNet
from s2m_edge.spectral.dft import apply_gains, dft_basis, fold_filter, forward_transform, inverse_transform
from s2m_edge.targets.rewrites.replace import replace_modules


class MatmulSpectralBranch(nn.Module):
    """A SpectralBranch whose filter is folded into constants for square maps of one size.

    Four matrix products with the constant on the right (so that delegates take them as linear layers), two transposes
    of a small spectrum, and one multiply-add. Orthonormal scaling is inside the basis.

    Args:
        branch: the trained branch.
        length: H = W of its map.
    """

    basis: Tensor
    direct: Tensor
    crossed: Tensor

    def __init__(self, branch: SpectralBranch, length: int) -> None:
        super().__init__()
        weight = branch.filter.detach()
        direct, crossed = fold_filter(weight.double())
        self.register_buffer("basis", dft_basis(length, weight.shape[-1]).to(weight.dtype))
        self.register_buffer("direct", direct.to(weight.dtype))
        self.register_buffer("crossed", crossed.to(weight.dtype))
        self.norm = branch.norm

    def forward(self, x: Tensor) -> Tensor:
        spectrum = forward_transform(x, self.basis, self.basis)
        return self.norm(inverse_transform(apply_gains(spectrum, self.direct, self.crossed), self.basis, self.basis))


def spectral_as_matmul(network: S2MNet) -> S2MNet:
    """A copy of `network` with every spectral branch as constant matrices; equal to about 1e-6."""
    # Modules are visited in the order of the encoder's stages.
    lengths = (network.config.stage_size(stage) for stage in range(1, len(network.encoder) + 1))
    with torch.no_grad():
        return replace_modules(network, SpectralBranch, lambda branch: MatmulSpectralBranch(branch, next(lengths)))
