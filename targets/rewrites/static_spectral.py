"""The matrix form of the spectral filter with every matrix stored as it is used."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from s2m_edge.model import S2MNet
from s2m_edge.spectral.dft import apply_gains
from s2m_edge.targets.rewrites.replace import replace_modules
from s2m_edge.targets.rewrites.spectral import MatmulSpectralBranch


class StaticSpectralBranch(nn.Module):
    """A MatmulSpectralBranch whose four products are linear layers with stored weights.

    A basis transposed in the graph is an operator's result, not a weight: XNNPACK then leaves that product (and the
    copies that batch it) to the portable kernels. B x C x L x L to the same shape, L the length of the branch.
    """

    analysis: Tensor
    synthesis: Tensor
    direct: Tensor
    crossed: Tensor

    def __init__(self, branch: MatmulSpectralBranch) -> None:
        super().__init__()
        self.register_buffer("analysis", branch.basis.T.contiguous())
        self.register_buffer("synthesis", branch.basis.clone())
        self.register_buffer("direct", branch.direct.clone())
        self.register_buffer("crossed", branch.crossed.clone())
        self.norm = branch.norm

    def forward(self, x: Tensor) -> Tensor:
        spectrum = linear(linear(x, self.analysis).transpose(-2, -1), self.analysis)
        filtered = apply_gains(spectrum, self.direct, self.crossed)
        return self.norm(linear(linear(filtered, self.synthesis).transpose(-2, -1), self.synthesis))


def spectral_with_static_weights(network: S2MNet) -> S2MNet:
    """A copy of `network`, after `spectral_as_matmul`, whose spectral products have stored weights; equal.

    Raises:
        ValueError: the network has no branch in matrix form.
    """
    with torch.no_grad():
        return replace_modules(network, MatmulSpectralBranch, StaticSpectralBranch)
