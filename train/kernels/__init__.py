"""Native kernels for training on a CPU, where a compiler is at hand: depthwise weight gradients, BatchNorm with ELU."""

from s2m_edge.train.kernels.depthwise import depthwise_convolution, pytorch_gradient, weight_gradient
from s2m_edge.train.kernels.mode import FastDepthwise, training_kernels
from s2m_edge.train.kernels.native import enable, is_enabled, lacking
from s2m_edge.train.kernels.norms import FastNorms, batch_norm_elu

__all__ = [
    "FastDepthwise",
    "FastNorms",
    "batch_norm_elu",
    "depthwise_convolution",
    "enable",
    "is_enabled",
    "lacking",
    "pytorch_gradient",
    "training_kernels",
    "weight_gradient",
]
