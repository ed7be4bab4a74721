"""The spectral filter as constant matrices: what `--spectral matmul` lowers."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from s2m_edge.blocks import SpectralBranch
from s2m_edge.model import S2MNet
from s2m_edge.spectral.dft import apply_gains, dft_basis, fold_filter
from s2m_edge.targets.rewrites.replace import replace_modules


class MatmulSpectralBranch(nn.Module):
    """A SpectralBranch whose filter is folded into constants for square maps of one size.

    Four linear layers with stored weights, two transposes of a small spectrum, and one multiply-add. The basis is
    stored twice, as it is used: one transposed in the graph would be an operator's result, not a weight, and XNNPACK
    would leave that product (and the copies that batch it) to the portable kernels.

    Args:
        branch: the trained branch.
        length: H = W of its map, in pixels.
    """

    analysis: Tensor
    synthesis: Tensor
    direct: Tensor
    crossed: Tensor

    def __init__(self, branch: SpectralBranch, length: int) -> None:
        super().__init__()
        weight = branch.filter.detach()
        basis = dft_basis(length, weight.shape[-1]).to(weight.dtype)
        direct, crossed = fold_filter(weight.double())
        self.register_buffer("analysis", basis.T.contiguous())
        self.register_buffer("synthesis", basis)
        self.register_buffer("direct", direct.to(weight.dtype))
        self.register_buffer("crossed", crossed.to(weight.dtype))
        self.norm = branch.norm

    def filtered(self, spectrum: Tensor) -> Tensor:
        """The filter's gains on a spectrum of `forward`, B x C x 2M x 2M."""
        return apply_gains(spectrum, self.direct, self.crossed)

    def forward(self, x: Tensor) -> Tensor:
        filtered = self.filtered(linear(linear(x, self.analysis).transpose(-2, -1), self.analysis))
        return self.norm(linear(linear(filtered, self.synthesis).transpose(-2, -1), self.synthesis))


def replace_spectral_branches(network: S2MNet, make: Callable[[SpectralBranch, int], nn.Module]) -> S2MNet:
    """A copy of `network` in which every spectral branch is `make(branch, H = W of its map in pixels)`."""
    # Modules are visited in the order of the encoder's stages.
    lengths = (network.config.stage_size(stage) for stage in sorted(network.config.mixer_stages))
    with torch.no_grad():
        return replace_modules(
            network,
            SpectralBranch,
            lambda branch: make(branch, next(lengths)),
            may_lack=not network.config.mixer_stages,
        )


def spectral_as_matmul(network: S2MNet) -> S2MNet:
    """A copy of `network` with every spectral branch as constant matrices; equal to about 1e-6."""
    return replace_spectral_branches(network, MatmulSpectralBranch)
