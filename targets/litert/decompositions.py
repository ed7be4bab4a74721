"""Operators in the form in which LiteRT's converter keeps them channels last and XNNPACK takes them.

The converter's own forms of these leave the four axes of a picture, which costs transposes on either side and ends the
delegate, or use an operator that XNNPACK has no kernel for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from s2m_edge.targets.litert.operators import elu


def decompositions(quantized: bool = False) -> dict[Any, Callable[..., Any]]:
    """The table for `ExportedProgram.run_decompositions`: this module's forms, and the converter's for the rest.

    Args:
        quantized: leave means whole: there is an integer one, which adds up exactly.
    """
    from litert_torch.fx_infra import decomp

    aten = torch.ops.aten
    table = dict(decomp.pre_convert_decomp())
    table.update(
        {
            aten.elu.default: whole_elu,
            aten.one_hot.default: one_hot,
            aten.upsample_nearest2d.vec: nearest_by_factors,
            aten.upsample_nearest2d.default: nearest_by_size,
            aten.pad.default: pad,
        }
    )
    if not quantized:
        table[aten.mean.dim] = mean
    return table


def whole_elu(x: Tensor, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Tensor:
    """aten.elu as one node where it is the plain one."""
    if (alpha, scale, input_scale) != (1.0, 1.0, 1.0):
        return NotImplemented
    return elu(x)


def mean(x: Tensor, dim: list[int] | None, keepdim: bool = False, *, dtype: torch.dtype | None = None) -> Tensor:
    """aten.mean.dim over the positions of a picture, along the rows first.

    XNNPACK adds one value after the other. Over 80,000 of them at once, instance normalisation made an error of 1.6e-4
    in the probabilities of a BasicUNet at 320 x 256; in two steps 1.4e-6.
    """
    if x.dim() != 4 or dim is None or sorted(axis % 4 for axis in dim) != [2, 3] or dtype not in (None, x.dtype):
        return NotImplemented
    averages = x.mean(3, keepdim=True).mean(2, keepdim=True)
    return averages if keepdim else averages.flatten(1)


def nearest_by_factors(x: Tensor, output_size: list[int] | None, scale_factors: list[float] | None) -> Tensor:
    """aten.upsample_nearest2d.vec by whole factors."""
    if output_size is None:
        assert scale_factors is not None  # the operator has one of both
        output_size = [int(length * factor) for length, factor in zip(x.shape[2:], scale_factors, strict=True)]
    return nearest_by_size(x, output_size)


def nearest_by_size(x: Tensor, output_size: list[int], scales_h: Any = None, scales_w: Any = None) -> Tensor:
    """aten.upsample_nearest2d by whole factors: joining a tensor with itself repeats its pixels.

    B x C x H x W to B x C x aH x bW. RESIZE_NEAREST_NEIGHBOR has no XNNPACK kernel. Channels last, the joined channels
    are the next pixels of the row, and joined rows the next rows, so that nothing but copies is left.
    """
    batch, channels, height, width = x.shape
    down, across = output_size[0] // height, output_size[1] // width
    if (down * height, across * width) != tuple(output_size):
        return NotImplemented
    last = x.permute(0, 2, 3, 1)
    rows = torch.cat([last] * across, dim=3).reshape(batch, height, 1, across * width * channels)
    picture = torch.cat([rows] * down, dim=2).reshape(batch, down * height, across * width, channels)
    return picture.permute(0, 3, 1, 2)


def one_hot(x: Tensor, num_classes: int = -1) -> Tensor:
    """aten.one_hot of a stated number of classes, without PyTorch's assertion on the values, which has no form here."""
    if num_classes < 0:
        return NotImplemented
    return (x.unsqueeze(-1) == torch.arange(num_classes, dtype=x.dtype)).to(x.dtype)


def pad(x: Tensor, padding: list[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """aten.pad without what pads by nothing, as decoders for any size do: MIRROR_PAD has no XNNPACK kernel."""
    return NotImplemented if any(padding) else x.clone()
