"""The arithmetic of a network: its multiply-adds, counted once for the float network."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from s2m_edge.model import S2MNet

COUNTED = (
    "multiply-adds of the float32 network's convolutions and matrix products for one picture, the spectral filter as "
    "matrix products; rewrites and quantization do not change the count; 2 FLOP each"
)


def multiply_adds_of(model: S2MNet) -> int:
    """Multiply-adds of S2M-Net for one picture of its size."""
    from s2m_edge.targets.rewrites import spectral_as_matmul

    config = model.config
    return multiply_adds(spectral_as_matmul(model), config.in_channels, config.size)


def multiply_adds(network: nn.Module, channels: int, size: int) -> int:
    """Multiply-adds of any network's convolutions and matrix products for one image channels x size x size.

    Only shapes are followed; `network` is not changed.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    shapes_only = copy.deepcopy(network).to("meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        shapes_only(torch.empty(1, channels, size, size, device="meta"))
    return counter.get_total_flops() // 2
