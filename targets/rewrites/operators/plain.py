"""A network in the operators that every backend here takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from s2m_edge.targets.rewrites.complex_numbers import RealNetwork
from s2m_edge.targets.rewrites.operators.calls import Rule, in_other_operators
from s2m_edge.targets.rewrites.operators.curves import truncation
from s2m_edge.targets.rewrites.operators.folding import folding
from s2m_edge.targets.rewrites.operators.pooling import adaptive_maxima, whole_windows
from s2m_edge.targets.rewrites.operators.resizing import has_whole_factors, nearest_of_parts
from s2m_edge.targets.rewrites.operators.selecting import median_along, median_of_all
from s2m_edge.targets.rewrites.operators.unpooling import POOL, UNPOOL, pooling_with_places, unpooling_to_places
from s2m_edge.targets.rewrites.watch import Notable, calls_of

aten = torch.ops.aten
PLAIN: Mapping[Any, Rule] = {
    aten.adaptive_max_pool2d.default: adaptive_maxima,
    aten.avg_pool2d.default: whole_windows,
    aten.col2im.default: folding,
    aten.median.default: median_of_all,
    aten.median.dim: median_along,
    POOL: pooling_with_places,
    UNPOOL: unpooling_to_places,
    aten.trunc.default: truncation,
    aten.upsample_nearest2d.vec: nearest_of_parts,
}
"""What some backends lack or change, and all of them take in other words, but for medians, where one has no order."""

CALLED_AS: Mapping[Any, Any] = {
    POOL: aten.max_pool2d.default,
    aten.copy_.default: aten.copy.default,
    aten.grid_sampler_2d.default: aten.grid_sampler.default,
    aten.upsample_nearest2d.default: aten.upsample_nearest2d.vec,
}
"""What torch.export writes for an operator that a running network calls. Maxima over windows are called with their
places even where nobody takes these; whoever does unpools to them."""


def _counts_its_own_way(
    x: Tensor,
    size: Any,
    stride: Any = (),
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> bool:
    return ceil_mode or not count_include_pad


def _rounds_up(
    x: Tensor, size: Any, stride: Any = (), padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
) -> bool:
    return ceil_mode


def _is_scaled(x: Tensor, alpha: float = 1, scale: float = 1, input_scale: float = 1) -> bool:
    return {alpha, scale, input_scale} != {1}


def _has_parts(x: Tensor, output_size: Any, *options: Any, **named: Any) -> bool:
    return not has_whole_factors(x, *output_size)


NOTABLE: Notable = {
    POOL: _rounds_up,
    aten.avg_pool2d.default: _counts_its_own_way,
    aten.elu.default: _is_scaled,
    aten.upsample_nearest2d.default: _has_parts,
}
"""Calls of operators that nearly every network has, and that few rules change."""


def in_plain_operators(network: nn.Module, image: Tensor, further: Mapping[Any, Rule] | None = None) -> nn.Module:
    """`network` itself if every backend takes it; else one that gives the same, in real numbers and plain operators.

    The result belongs to one size, and its modules are gone: rewrite them before.

    Args:
        image: as the network takes it.
        further: rules for what the backend at hand lacks beside `PLAIN`.

    Raises:
        LoweringError: an operator on complex numbers has no form in real ones here.
    """
    rules, calls = {**PLAIN, **(further or {})}, calls_of(network, image, NOTABLE)
    if {CALLED_AS.get(operator, operator) for operator in calls.operators} & set(rules):
        network = in_other_operators(network, image, rules)
    return RealNetwork(network, image).eval() if calls.complex_numbers else network
