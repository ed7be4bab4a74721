"""Half precision without its three traps: LayerNorm's epsilon, the picture, and the kernels' sums. None costs time.

The network's epsilon, 1e-6, is below float16's smallest normal number, 2^-14. Hardware that flushes subnormal numbers
would take it for zero and divide by zero wherever all channels agree. Since

    LayerNorm(x; epsilon) = LayerNorm(a x; a^2 epsilon),

the factor a = 8 turns it into 6.4e-5. What feeds a LayerNorm here is linear in some weights, so a goes into them, and
as a power of two it changes no digit in either precision.

A picture in 0..1 is not exact in float16: v / 255 is off by up to 2.4e-4, always the same way for the same v, so whole
flat regions shift together. v / 256 is exact, and 256 / 255 goes into the first convolution's weights.

A trained first convolution takes differences: its weights, BatchNorm folded, add up to 100 in absolute value and to
almost nothing with their signs. Rounded one by one they no longer cancel, and a flat region gets an offset that nothing
later averages away. Rounding that keeps each kernel's sum (to the precision of its smallest weight) avoids that.

Twenty pictures at 352, an early polyp network, Dice between its masks and float32's on the worst of them:
    as it is 0.9915; exact picture 0.9966; exact picture and kept sums 0.9981.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor, nn

from s2m_edge.imaging.preprocess import Preprocessing
from s2m_edge.network.blocks import ChannelLayerNorm, SpectralSpatialMixer

Network = TypeVar("Network", bound=nn.Module)

SMALLEST_NORMAL = 2.0**-14
# Picture values span 256 levels and float16 has 11 significant bits, so an offset in eighths of a level stays exact.
PICTURE_LEVELS = 256.0
LEVEL_FRACTION = 8.0


def epsilon_factor(epsilon: float) -> float:
    """The smallest power of two a, at least 1, with a^2 * epsilon >= 2^-14."""
    return 2.0 ** max(0, math.ceil(math.log2(SMALLEST_NORMAL / epsilon) / 2))


def with_half_precision_epsilons(network: Network) -> Network:
    """An equal copy of `network` whose LayerNorm epsilons are normal float16 numbers.

    Must come before the spectral filters are folded into matrices.
    """
    rescaled = copy.deepcopy(network)
    with torch.no_grad():
        for module in rescaled.modules():
            if isinstance(module, SpectralSpatialMixer):
                _rescale(module)
    return rescaled


def with_exact_half_input(
    network: Network, preprocessing: Preprocessing, image: Tensor
) -> tuple[Network, Preprocessing]:
    """An equal network, and the preprocessing before it, between which every picture value is exact in float16.

    What is left of scale and deviation is in the first convolution's weights. A mean that is no whole number of eighths
    of a grey level cannot move there (the convolution pads with zeros, which mean the mean), and neither can anything
    where the picture goes elsewhere than into one convolution: then both are returned as they came, and the normalised
    picture is rounded to float16.

    Args:
        network: its input is what `preprocessing` gives.
        image: of the network's size, 1 x channels x height x width.
    """
    channels = preprocessing.channels
    levels = [mean / preprocessing.scale for mean in preprocessing.mean[:channels]]
    eighths = [round(level * LEVEL_FRACTION) for level in levels]
    exact = all(
        0 <= eighth <= PICTURE_LEVELS * LEVEL_FRACTION
        and math.isclose(level * LEVEL_FRACTION, eighth, rel_tol=1e-6, abs_tol=1e-6)
        for level, eighth in zip(levels, eighths, strict=True)
    )
    first = first_convolution(network, image) if exact else None
    if first is None:
        return network, preprocessing
    rescaled = copy.deepcopy(network)
    gain = torch.tensor(
        [PICTURE_LEVELS * preprocessing.scale / deviation for deviation in preprocessing.standard_deviation[:channels]]
    )[:, None, None]
    convolution = rescaled.get_submodule(first)
    assert isinstance(convolution, nn.Conv2d)
    with torch.no_grad():
        convolution.weight.mul_(gain)
        expected, found = network(image * gain), rescaled(image)
    if not torch.allclose(expected, found, rtol=1e-3, atol=1e-3 * float(expected.abs().max())):
        return network, preprocessing  # something else looks at the picture too
    means = tuple(eighth / LEVEL_FRACTION / PICTURE_LEVELS for eighth in eighths)
    return rescaled, replace(
        preprocessing, scale=1.0 / PICTURE_LEVELS, mean=means, standard_deviation=(1.0,) * channels
    )


def first_convolution(network: nn.Module, image: Tensor) -> str | None:
    """The path of the only convolution that takes the picture itself, ungrouped; None where there is no such."""
    takers: list[str] = []

    def watch(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            if inputs[0].data_ptr() == image.data_ptr() and inputs[0].shape == image.shape:
                takers.append(name)

        return note

    convolutions = [(name, module) for name, module in network.named_modules() if isinstance(module, nn.Conv2d)]
    handles = [module.register_forward_pre_hook(watch(name)) for name, module in convolutions]
    try:
        with torch.no_grad():
            network(image)
    finally:
        for handle in handles:
            handle.remove()
    if len(takers) != 1:
        return None
    only = network.get_submodule(takers[0])
    assert isinstance(only, nn.Conv2d)
    return takers[0] if only.groups == 1 else None


def round_kernels(network: Network) -> Network:
    """A copy whose convolution kernels are float16 numbers (held as float32) with the sums that they had.

    Args:
        network: BatchNorm already folded, so that these are the weights that are stored.
    """
    rounded = copy.deepcopy(network)
    with torch.no_grad():
        for module in rounded.modules():
            if isinstance(module, nn.Conv2d):
                module.weight.copy_(round_keeping_sums(module.weight))
    return rounded


def round_keeping_sums(kernels: torch.Tensor) -> torch.Tensor:
    """Kernels out x in x height x width rounded to float16, each with its sum kept, as float32.

    What rounding took from a kernel's sum goes to its smallest weight, where float16 is finest.
    """
    exact = kernels.flatten(2).double()
    rounded = exact.half().double()
    missing = (exact - rounded).sum(-1, keepdim=True)
    smallest = exact.abs().argmin(-1, keepdim=True)
    rounded.scatter_(-1, smallest, (rounded.gather(-1, smallest) + missing).half().double())
    return rounded.float().view_as(kernels)


def _rescale(mixer: SpectralSpatialMixer) -> None:
    factor = epsilon_factor(mixer.norm.epsilon)
    mixer.spectral.filter.mul_(factor)
    norms = [mixer.spectral.norm, mixer.norm]
    last_norm = mixer.spectral.norm  # what feeds mixer.norm
    if mixer.spatial is not None and mixer.fuse is not None:
        _scale(mixer.spatial.mix[-1], factor)
        _scale(mixer.fuse[0], factor)
        last_norm = mixer.fuse[1]
        assert isinstance(last_norm, ChannelLayerNorm)
        norms += [mixer.spatial.norm, last_norm]
    _scale(last_norm, factor)
    for norm in norms:
        norm.epsilon *= factor**2


def _scale(module: nn.Module, factor: float) -> None:
    """Multiply a module's output, through its weight and its bias."""
    for parameter in module.parameters(recurse=False):
        parameter.mul_(factor)
