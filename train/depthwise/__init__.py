"""Depthwise convolutions whose weight gradient a native kernel computes, where one is at hand."""

from s2m_edge.train.depthwise.convolution import depthwise_convolution, pytorch_gradient, weight_gradient
from s2m_edge.train.depthwise.mode import FastDepthwise
from s2m_edge.train.depthwise.native import enable, is_enabled, lacking

__all__ = [
    "FastDepthwise",
    "depthwise_convolution",
    "enable",
    "is_enabled",
    "lacking",
    "pytorch_gradient",
    "weight_gradient",
]
