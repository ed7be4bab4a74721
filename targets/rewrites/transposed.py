"""Transposed convolutions without padding and dilation, for backends that lack them."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from s2m_edge.targets.rewrites.operators.calls import pair
from s2m_edge.targets.rewrites.replace import Network, replace_modules


class CutTransposedConvolution(nn.Module):
    """What nn.ConvTranspose2d with an output padding no larger than its padding computes; the weights are its own.

    Padding and output padding are where the whole result is cut, and a dilated kernel is a larger one with zeros in it.
    """

    def __init__(self, convolution: nn.ConvTranspose2d) -> None:
        super().__init__()
        self.convolution = convolution
        self.register_buffer("kernel", _with_gaps(convolution.weight.detach(), pair(convolution.dilation)))

    def forward(self, x: Tensor) -> Tensor:
        of = self.convolution
        whole = functional.conv_transpose2d(x, self.kernel, of.bias, of.stride, 0, 0, of.groups)  # type: ignore[arg-type]
        for axis, (padding, further) in enumerate(zip(of.padding, of.output_padding, strict=True), start=2):
            first = int(padding)
            whole = whole.narrow(axis, first, whole.shape[axis] - 2 * first + further)
        return whole


def cut_transposed_convolutions(network: Network) -> Network:
    """A copy of `network` in which no transposed convolution over two axes has an output padding or a dilation.

    One that has more output padding than padding stays: its last rows hold what no part of the whole result does.
    """

    def make(convolution: nn.ConvTranspose2d) -> nn.Module:
        pairs = list(zip(convolution.padding, convolution.output_padding, strict=True))
        lacking = any(further for _, further in pairs) or max(convolution.dilation) > 1
        if lacking and all(further <= int(padding) for padding, further in pairs):
            return CutTransposedConvolution(convolution)
        return convolution

    return replace_modules(network, nn.ConvTranspose2d, make)


def _with_gaps(kernel: Tensor, dilation: tuple[int, int]) -> Tensor:
    """In x out x rows x columns, with zeros between its values; itself without dilation."""
    if dilation == (1, 1):
        return kernel
    rows, columns = (step * (length - 1) + 1 for step, length in zip(dilation, kernel.shape[-2:], strict=True))
    wide = kernel.new_zeros(*kernel.shape[:2], rows, columns)
    wide[:, :, :: dilation[0], :: dilation[1]] = kernel
    return wide
