"""The fake-quantized network as quantize and dequantize operations, which is what targets lower.

The operations are those of PyTorch's own quantized graphs (`torch.ops.quantized_decomposed`), and weights are int8
constants behind a dequantization; every backend that takes a graph of `convert_pt2e` takes this one.
"""

from __future__ import annotations

import copy
from typing import Literal, TypeVar, cast

import torch
from torch import Tensor, nn

from s2m_edge.network.blocks import convolution_arguments
from s2m_edge.network.fake_quantized.config import HIGHEST, LOWEST
from s2m_edge.network.fake_quantized.layers import ActivationQuantizer, QuantizedConv2d

Network = TypeVar("Network", bound=nn.Module)
WeightForm = Literal["dequantize", "multiply"]


class QuantizeDequantize(nn.Module):
    """An ActivationQuantizer as a pair of operations, scale and zero point as numbers in the graph."""

    def __init__(self, quantizer: ActivationQuantizer) -> None:
        super().__init__()
        self.numbers = (float(quantizer.scale), int(quantizer.zero_point), LOWEST, HIGHEST, torch.int8)

    def forward(self, x: Tensor) -> Tensor:
        operations = torch.ops.quantized_decomposed
        return operations.dequantize_per_tensor(operations.quantize_per_tensor(x, *self.numbers), *self.numbers)


class DequantizingConv2d(nn.Module):
    """A QuantizedConv2d whose weights are int8 and made float in the graph."""

    weight: Tensor
    weight_scale: Tensor
    weight_zero_point: Tensor

    def __init__(self, layer: QuantizedConv2d, weights: WeightForm) -> None:
        super().__init__()
        self.weights = weights
        self.register_buffer("weight", layer.integers())
        self.register_buffer("weight_scale", layer.weight_scale.clone())
        self.register_buffer("weight_zero_point", torch.zeros(layer.out_channels, dtype=torch.int64))
        self.bias = layer.bias
        self.limit = layer.weight_limit
        self.options = (layer.stride, layer.padding, layer.dilation, layer.groups)

    def forward(self, x: Tensor) -> Tensor:
        if self.weights == "multiply":
            weight = self.weight.to(torch.float32) * self.weight_scale[:, None, None, None]
        else:
            weight = torch.ops.quantized_decomposed.dequantize_per_channel(
                self.weight, self.weight_scale, self.weight_zero_point, 0, -self.limit, self.limit, torch.int8
            )
        return nn.functional.conv2d(x, weight, self.bias, *self.options)  # type: ignore[call-overload, arg-type]


def with_integer_operations(network: Network, weights: WeightForm = "dequantize") -> Network:
    """A copy of a fake-quantized network in which every quantizer is a pair of operations and every quantized weight
    int8; equal to it but for ties of rounding.

    Args:
        weights: how int8 becomes float: by the operation of that name, or by a conversion and a product, for frontends
            that fold or lack the operation.
    """
    load_operations()
    lowered = copy.deepcopy(network)
    with torch.no_grad():
        return cast(Network, _replaced(lowered, weights))


def _replaced(module: nn.Module, weights: WeightForm) -> nn.Module:
    if isinstance(module, ActivationQuantizer):
        return QuantizeDequantize(module) if module.mode == "quantize" else nn.Identity()
    if isinstance(module, QuantizedConv2d):
        return DequantizingConv2d(module, weights) if module.enabled else _plain(module)
    for name, child in list(module.named_children()):
        setattr(module, name, _replaced(child, weights))
    return module


def _plain(layer: QuantizedConv2d) -> nn.Conv2d:
    plain = nn.Conv2d(**convolution_arguments(layer))
    plain.load_state_dict({name: value for name, value in layer.state_dict().items() if name in ("weight", "bias")})
    return plain.train(layer.training)


def load_operations() -> None:
    """Register `torch.ops.quantized_decomposed`, which PyTorch does not do by itself."""
    import torch.ao.quantization.fx._decomposed  # noqa: F401
