"""The spectral filter as constant matrices: what `--spectral matmul` lowers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from s2m_edge.errors import CapabilityError
from s2m_edge.network.blocks import SpectralBranch
from s2m_edge.network.spectral.dft import apply_gains, dft_basis, fold_filter
from s2m_edge.network.spectral.reference import crop_filter
from s2m_edge.targets.rewrites.replace import replace_modules

Network = TypeVar("Network", bound=nn.Module)


class MatmulSpectralBranch(nn.Module):
    """A SpectralBranch whose filter is folded into constants for maps of one size.

    Four linear layers with stored weights, two transposes of a small spectrum, and one multiply-add. The basis is
    stored twice, as it is used: one transposed in the graph would be an operator's result, not a weight, and XNNPACK
    would leave that product (and the copies that batch it) to the portable kernels.

    Args:
        branch: the trained branch.
        height, width: of its map, in pixels.
    """

    analysis: Tensor
    synthesis: Tensor
    row_analysis: Tensor
    row_synthesis: Tensor
    direct: Tensor
    crossed: Tensor

    def __init__(self, branch: SpectralBranch, height: int, width: int) -> None:
        super().__init__()
        weight = crop_filter(branch.filter.detach(), height, width)
        basis = dft_basis(width, weight.shape[-1]).to(weight.dtype)
        direct, crossed = fold_filter(weight.double())
        self.register_buffer("analysis", basis.T.contiguous())
        self.register_buffer("synthesis", basis)
        # A square map has one basis, stored once; the rows of another have their own.
        self.square = height == width and weight.shape[-2] == weight.shape[-1]
        if not self.square:
            rows = dft_basis(height, weight.shape[-2]).to(weight.dtype)
            self.register_buffer("row_analysis", rows.T.contiguous())
            self.register_buffer("row_synthesis", rows)
        self.register_buffer("direct", direct.to(weight.dtype))
        self.register_buffer("crossed", crossed.to(weight.dtype))
        self.norm = branch.norm

    def filtered(self, spectrum: Tensor) -> Tensor:
        """The filter's gains on a spectrum of `forward`, B x C x 2*M2 x 2*M1, width frequencies first."""
        return apply_gains(spectrum, self.direct, self.crossed)

    def forward(self, x: Tensor) -> Tensor:
        row_analysis = self.analysis if self.square else self.row_analysis
        row_synthesis = self.synthesis if self.square else self.row_synthesis
        filtered = self.filtered(linear(linear(x, self.analysis).transpose(-2, -1), row_analysis))
        return self.norm(linear(linear(filtered, row_synthesis).transpose(-2, -1), self.synthesis))


def has_spectral_filters(network: nn.Module) -> bool:
    """Whether a network has a spectral branch, which a target lowers one way or another."""
    return any(isinstance(module, SpectralBranch) for module in network.modules())


def map_sizes(network: nn.Module, image: Tensor) -> dict[str, tuple[int, int]]:
    """Height and width of the map that each spectral branch works on, by the branch's path.

    Args:
        image: of the network's size, 1 x channels x height x width.
    """
    sizes: dict[str, tuple[int, int]] = {}

    def watch(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            sizes[name] = (inputs[0].shape[-2], inputs[0].shape[-1])

        return note

    branches = [(name, module) for name, module in network.named_modules() if isinstance(module, SpectralBranch)]
    handles = [branch.register_forward_pre_hook(watch(name)) for name, branch in branches]
    try:
        if branches:
            with torch.no_grad():
                network(image.to(branches[0][1].filter))
    finally:
        for handle in handles:
            handle.remove()
    return sizes


def replace_spectral_branches(
    network: Network, image: Tensor, make: Callable[[SpectralBranch, int, int], nn.Module]
) -> Network:
    """A copy of `network` in which every spectral branch is `make(branch, height and width of its map in pixels)`.

    Args:
        image: as in `map_sizes`.
    """
    sizes = map_sizes(network, image)
    # Modules are replaced in the order in which they are named.
    order = iter([sizes[name] for name, module in network.named_modules() if isinstance(module, SpectralBranch)])
    with torch.no_grad():
        return replace_modules(
            network, SpectralBranch, lambda branch: make(branch, *next(order)), rewrite="spectral_as_matmul"
        )


def require_square(height: int, width: int, what: str) -> int:
    """The side of a square map.

    Raises:
        CapabilityError: it is not square.
    """
    if height != width:
        raise CapabilityError(
            f"{what} takes square maps, and a spectral filter of this network works on {height} x {width}",
            "Use --spectral matmul.",
        )
    return height


def spectral_as_matmul(network: Network, image: Tensor) -> Network:
    """A copy of `network` with every spectral branch as constant matrices; equal to about 1e-6.

    Args:
        image: of the network's size, 1 x channels x height x width.
    """
    return replace_spectral_branches(network, image, MatmulSpectralBranch)
