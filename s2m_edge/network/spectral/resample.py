"""Carrying a learned filter to another resolution."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import grid_sample


def resample_filter(weight: Tensor, kept: int) -> Tensor:
    """A learned filter read off on a grid of `kept` x `kept` frequencies.

    The common axis is the normalised frequency of the cropped grid, (index - K // 2) / K in [-1/2, 1/2), the one over
    which filters are initialised. Values between are bilinear; the outermost value is held beyond the old grid. A
    stage that keeps K' = K frequencies at both resolutions is unchanged.

    Args:
        weight: C x K x K.
        kept: K' of the new map.

    Returns:
        C x kept x kept, of weight's dtype.
    """
    old_kept = weight.shape[-1]
    if kept == old_kept:
        return weight.clone()
    normalised = (torch.arange(kept, dtype=torch.float64) - kept // 2) / kept
    index = normalised * old_kept + old_kept // 2
    coordinate = (index / max(old_kept - 1, 1) * 2 - 1).clamp(-1, 1)
    grid = torch.stack(torch.meshgrid(coordinate, coordinate, indexing="xy"), dim=-1)[None]
    sampled = grid_sample(weight[None].double(), grid, mode="bilinear", padding_mode="border", align_corners=True)
    return sampled[0].to(weight.dtype)
