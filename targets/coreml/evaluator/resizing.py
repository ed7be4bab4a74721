"""MIL operations that resample pictures."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from s2m_edge.targets.coreml.evaluator.arguments import Arguments
from s2m_edge.targets.coreml.evaluator.operation import Operation, X


def _scaled_size(a: Arguments, x: Tensor) -> list[int]:
    factors = (a.number("scale_factor_height", 1.0), a.number("scale_factor_width", 1.0))
    return [math.floor(length * factor) for length, factor in zip(x.shape[-2:], factors, strict=True)]


def _upsample_bilinear(a: Arguments) -> Tensor:
    x = a.floating("x")
    corners = a.flag("align_corners", True)
    return F.interpolate(x, _scaled_size(a, x), mode="bilinear", align_corners=corners)


def _upsample_nearest(a: Arguments) -> Tensor:
    x = a.floating("x")
    for name in ("scale_factor_height", "scale_factor_width"):
        factor = a.number(name, 1.0)
        if factor != int(factor) or factor < 1:
            raise a.refuse(name, factor, "whole factors")
    return F.interpolate(x, _scaled_size(a, x), mode="nearest")


def _target_size(a: Arguments) -> list[int]:
    return [a.integer("target_size_height", 1), a.integer("target_size_width", 1)]


def _resize_nearest(a: Arguments) -> Tensor:
    x, wanted = a.floating("x"), _target_size(a)
    for length, longer in zip(x.shape[-2:], wanted, strict=True):
        if longer % length:
            raise a.refuse("the target size", wanted, f"whole multiples of {list(x.shape[-2:])}")
    return F.interpolate(x, wanted, mode="nearest")


def _grid(a: Arguments, length: int, wanted: int) -> Tensor:
    """Where each of `wanted` points lies on an axis of `length` values, from 0 to length - 1, by the sampling mode.

    Formulas: the notes of resize_bilinear in the operation reference.
    """
    mode, points = a.text("sampling_mode", "DEFAULT"), torch.arange(wanted, dtype=torch.float64)
    match mode:
        case "STRICT_ALIGN_CORNERS" | "ALIGN_CORNERS":
            if wanted == 1:
                points = points + ((length - 1) / 2 if mode == "ALIGN_CORNERS" else 0.0)
            else:
                points = points * (length - 1) / (wanted - 1)
        case "DEFAULT":
            points = points * length / wanted
        case "OFFSET_CORNERS":
            points = (points + 0.5) * max(1, length - 1) / wanted
        case "UNALIGN_CORNERS":
            points = (points + 0.5) * length / wanted - 0.5
        case _:
            raise a.refuse("sampling_mode", mode, "the five of the operation reference")
    return points.clamp(0, length - 1)


def _interpolated(x: Tensor, points: Tensor, axis: int) -> Tensor:
    """Linear interpolation along an axis, in float64."""
    below = points.floor().long().clamp(max=x.shape[axis] - 1)
    above = (below + 1).clamp(max=x.shape[axis] - 1)
    shape = [1] * x.dim()
    shape[axis] = -1
    share = (points - below).reshape(shape)
    return x.index_select(axis, below) * (1 - share) + x.index_select(axis, above) * share


def _resize_bilinear(a: Arguments) -> Tensor:
    x = a.floating("x")
    result = x.double()
    for axis, wanted in zip((-2, -1), _target_size(a), strict=True):
        result = _interpolated(result, _grid(a, x.shape[axis], wanted), axis % x.dim())
    return result.float()


_PADDINGS = {"constant": "zeros", "border": "border"}


def _resample(a: Arguments) -> Tensor:
    """Values at coordinates (x, y) from -1 to 1, B x H x W x 2."""
    x, coordinates = a.floating("x"), a.floating("coordinates")
    mode, padding = a.text("sampling_mode", ""), a.text("padding_mode", "")
    if a.text("coordinates_mode", "") != "normalized_minus_one_to_one":
        raise a.refuse("coordinates_mode", a.text("coordinates_mode", ""), "normalized_minus_one_to_one")
    if padding not in _PADDINGS or a.number("padding_value", 0.0):
        raise a.refuse("padding_mode", padding, "constant with padding_value 0, and border")
    if mode not in ("bilinear", "nearest"):
        raise a.refuse("sampling_mode", mode, "bilinear and nearest")
    return F.grid_sample(
        x, coordinates, mode=mode, padding_mode=_PADDINGS[padding], align_corners=a.flag("align_corners", False)
    )


_SCALES = frozenset({"scale_factor_height", "scale_factor_width"})
_SIZES = frozenset({"target_size_height", "target_size_width"})

TABLE: dict[str, Operation] = {
    "upsample_bilinear": Operation(_upsample_bilinear, X, _SCALES | {"align_corners"}),
    "upsample_nearest_neighbor": Operation(_upsample_nearest, X, _SCALES),
    "resize_bilinear": Operation(_resize_bilinear, X, _SIZES | {"sampling_mode"}),
    "resize_nearest_neighbor": Operation(_resize_nearest, X | _SIZES),
    "resample": Operation(
        _resample,
        X | {"coordinates", "sampling_mode", "padding_mode", "padding_value", "coordinates_mode", "align_corners"},
    ),
}
