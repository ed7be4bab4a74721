"""Functions of one number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx

from s2m_edge.targets.rewrites.operators.calls import argument

SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805
"""Klambauer et al., "Self-Normalizing Neural Networks", NIPS 2017, as PyTorch has them."""


def truncation(node: fx.Node) -> Callable[..., Any] | None:
    """A rule for aten.trunc."""
    return towards_zero


def towards_zero(x: Tensor) -> Tensor:
    """The whole part of numbers."""
    return torch.sign(x) * torch.floor(x.abs())


def scaled_elu(node: fx.Node) -> Callable[..., Any] | None:
    """A rule for aten.selu, and for aten.elu whose parameters are not 1."""
    if node.target is torch.ops.aten.selu.default:
        return lambda x: _elu(x, SELU_ALPHA, SELU_SCALE, 1.0)
    parameters = [argument(node, name) for name in ("alpha", "scale", "input_scale")]
    return None if set(parameters) == {1} else lambda x, *_, **__: _elu(x, *parameters)


def _elu(x: Tensor, alpha: float, scale: float, input_scale: float) -> Tensor:
    return scale * (torch.relu(x) + alpha * (torch.exp(input_scale * x.clamp(max=0.0)) - 1.0))
