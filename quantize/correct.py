"""Bias correction: what rounding shifts on average, each convolution's bias takes back (after arXiv 1906.04721)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from s2m_edge.network.fake_quantized.layers import QuantizedConv2d, quantized_convolutions, rounding_off
from s2m_edge.network.model import S2MNet

CORRECTION_IMAGES = 32
"""Images at most: all go through the network at once, 0.17 GB each at 352 x 352."""

Hook = Callable[[nn.Module, tuple[Tensor, ...], Tensor], "Tensor | None"]


def correct_biases(network: S2MNet, images: Sequence[Tensor]) -> None:
    """Give every channel of every quantized convolution the mean that it has in float, in place.

    A picture has wide areas of one colour, on which rounding errors are all alike and do not average out. One pass
    over all images corrects the convolutions in the order in which they run, so each one is corrected on inputs that
    are corrected already. (Corrected all at once, errors that were caused further up would be taken back twice.)

    Args:
        network: calibrated, eval mode.
        images: each C x size x size, in [0, 1]; up to CORRECTION_IMAGES of them, evenly spaced, are used.
    """
    step = -(-len(images) // CORRECTION_IMAGES)
    batch = torch.stack(list(images[::step])).contiguous(memory_format=torch.channels_last)
    layers = [layer for _, layer in quantized_convolutions(network) if layer.enabled]
    expected: dict[QuantizedConv2d, Tensor] = {}

    def keep(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(layer, QuantizedConv2d)
        expected[layer] = output.mean(dim=(0, 2, 3))

    def correct(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        assert isinstance(layer, QuantizedConv2d)
        assert layer.bias is not None
        shift = expected[layer] - output.mean(dim=(0, 2, 3))
        layer.bias += shift
        return output + shift[:, None, None]

    with torch.no_grad():
        with _hooked(layers, keep), rounding_off(network):
            network(batch)
        with _hooked(layers, correct):
            network(batch)


@contextmanager
def _hooked(layers: Sequence[nn.Module], hook: Hook) -> Iterator[None]:
    handles = [layer.register_forward_hook(hook) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
