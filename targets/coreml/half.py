"""LayerNorm in half precision: an epsilon that float16 can hold, at no cost in accuracy.

The network's epsilon, 1e-6, is below float16's smallest normal number, 2^-14. Hardware that flushes subnormal numbers
would take it for zero and divide by zero wherever all channels agree. Since

    LayerNorm(x; epsilon) = LayerNorm(a x; a^2 epsilon),

the factor a = 8 turns it into 6.4e-5. What feeds a LayerNorm here is linear in some weights, so a goes into them, and
as a power of two it changes no digit in either precision.
"""

from __future__ import annotations

import copy
import math

import torch
from torch import nn

from s2m_edge.blocks import ChannelLayerNorm, SpectralSpatialMixer
from s2m_edge.model import S2MNet

SMALLEST_NORMAL = 2.0**-14


def epsilon_factor(epsilon: float) -> float:
    """The smallest power of two a, at least 1, with a^2 * epsilon >= 2^-14."""
    return 2.0 ** max(0, math.ceil(math.log2(SMALLEST_NORMAL / epsilon) / 2))


def with_half_precision_epsilons(network: S2MNet) -> S2MNet:
    """An equal copy of `network` whose LayerNorm epsilons are normal float16 numbers.

    Must come before the spectral filters are folded into matrices.
    """
    rescaled = copy.deepcopy(network)
    with torch.no_grad():
        for module in rescaled.modules():
            if isinstance(module, SpectralSpatialMixer):
                _rescale(module)
    return rescaled


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
