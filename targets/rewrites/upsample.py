"""Nearest upsampling and the convolution after it as one transposed convolution."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn

from s2m_edge.targets.rewrites.replace import require_match

Network = TypeVar("Network", bound=nn.Module)

# Along one axis, out[2i] = x[i-1] w[-1] + x[i] (w[0] + w[1]) and out[2i+1] = x[i] (w[-1] + w[0]) + x[i+1] w[1].
# In the order of a transposed convolution's taps (stride 2, padding 1: out[o] takes x[s] with tap o - 2s + 1):
PHASES = ((0.0, 0.0, 1.0), (0.0, 1.0, 1.0), (1.0, 1.0, 0.0), (1.0, 0.0, 0.0))


def phase_upsample(network: Network) -> Network:
    """A copy of `network` in which "nearest x2, convolution 3x3" is a transposed convolution 4x4; equal to rounding.

    Each output phase (even or odd row, even or odd column) sees only 2 x 2 different inputs, so 4 products take the
    place of 9, and the enlarged map is never written. Zeros outside the small map are the zeros outside the large one,
    so the borders are exact too. Only pairs in an nn.Sequential are found.
    """
    rewritten = copy.deepcopy(network)
    found = 0
    with torch.no_grad():
        for sequence in [module for module in rewritten.modules() if isinstance(module, nn.Sequential)]:
            for index in range(len(sequence) - 1):
                upsample, convolution = sequence[index], sequence[index + 1]
                if doubles(upsample) and isinstance(convolution, nn.Conv2d) and _is_same_three_by_three(convolution):
                    sequence[index] = nn.Identity()
                    sequence[index + 1] = transposed_convolution(convolution).train(convolution.training)
                    found += 1
    require_match(network, "phase_upsample", found)
    return rewritten


def transposed_convolution(convolution: nn.Conv2d) -> nn.ConvTranspose2d:
    """The transposed convolution equal to nearest upsampling by 2 and then `convolution` (3x3, padding 1)."""
    weight = convolution.weight.detach().double()
    phases = torch.tensor(PHASES, dtype=torch.float64, device=weight.device)
    merged = nn.ConvTranspose2d(
        convolution.in_channels, convolution.out_channels, 4, stride=2, padding=1, bias=convolution.bias is not None
    ).to(convolution.weight)
    merged.weight.copy_((phases @ weight @ phases.T).transpose(0, 1))
    if merged.bias is not None and convolution.bias is not None:
        merged.bias.copy_(convolution.bias)
    return merged


def doubles(module: nn.Module) -> bool:
    """Whether a module is nearest upsampling by 2."""
    return (
        isinstance(module, nn.Upsample)
        and module.mode == "nearest"
        and module.size is None
        and module.scale_factor in (2.0, (2.0, 2.0))
    )


def _is_same_three_by_three(convolution: nn.Conv2d) -> bool:
    return (
        convolution.kernel_size == (3, 3)
        and convolution.padding == (1, 1)
        and convolution.stride == (1, 1)
        and convolution.dilation == (1, 1)
        and convolution.groups == 1
        and convolution.padding_mode == "zeros"
    )
