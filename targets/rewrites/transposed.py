"""Transposed convolutions without padding, their result cut, for backends that take no output padding."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from s2m_edge.targets.rewrites.replace import Network, replace_modules


class CutTransposedConvolution(nn.Module):
    """What nn.ConvTranspose2d with an output padding no larger than its padding computes; the weights are its own."""

    def __init__(self, convolution: nn.ConvTranspose2d) -> None:
        super().__init__()
        self.convolution = convolution

    def forward(self, x: Tensor) -> Tensor:
        of = self.convolution
        whole = functional.conv_transpose2d(x, of.weight, of.bias, of.stride, 0, 0, of.groups, of.dilation)  # type: ignore[arg-type]
        for axis, (padding, further) in enumerate(zip(of.padding, of.output_padding, strict=True), start=2):
            first = int(padding)
            whole = whole.narrow(axis, first, whole.shape[axis] - 2 * first + further)
        return whole


def cut_transposed_convolutions(network: Network) -> Network:
    """A copy of `network` in which no transposed convolution over two axes has an output padding.

    One that has more of it than of padding stays: its last rows hold what no part of the whole result does.
    """

    def make(convolution: nn.ConvTranspose2d) -> nn.Module:
        pairs = list(zip(convolution.padding, convolution.output_padding, strict=True))
        if any(further for _, further in pairs) and all(further <= int(padding) for padding, further in pairs):
            return CutTransposedConvolution(convolution)
        return convolution

    return replace_modules(network, nn.ConvTranspose2d, make)
