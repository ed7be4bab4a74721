"""The fake-quantized network: one definition of what is int8, which every target lowers from."""

from s2m_edge.network.fake_quantized.config import QuantizationConfig
from s2m_edge.network.fake_quantized.layers import (
    ActivationQuantizer,
    QuantizedConv2d,
    activation_quantizers,
    is_quantized,
)
from s2m_edge.network.fake_quantized.network import quantized_network

__all__ = [
    "ActivationQuantizer",
    "QuantizationConfig",
    "QuantizedConv2d",
    "activation_quantizers",
    "is_quantized",
    "quantized_network",
]
