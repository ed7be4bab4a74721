"""Exact graph rewrites: pure functions from a network to an equal one that a backend runs better."""

from s2m_edge.targets.rewrites.batch_norm import fold_batch_norm
from s2m_edge.targets.rewrites.blend import InterpolatingDecoder, blend_by_interpolation
from s2m_edge.targets.rewrites.depthwise import SplitDepthwise, split_depthwise
from s2m_edge.targets.rewrites.fusion import SummedReceptiveField, sum_branches
from s2m_edge.targets.rewrites.layer_norm import ConvolutionalLayerNorm, layer_norm_as_convolutions
from s2m_edge.targets.rewrites.normalisation import ArithmeticNorm, norms_as_arithmetic
from s2m_edge.targets.rewrites.replace import replace_modules
from s2m_edge.targets.rewrites.spectral import MatmulSpectralBranch, replace_spectral_branches, spectral_as_matmul
from s2m_edge.targets.rewrites.transposed import cut_transposed_convolutions
from s2m_edge.targets.rewrites.upsample import phase_upsample

__all__ = [
    "ArithmeticNorm",
    "ConvolutionalLayerNorm",
    "InterpolatingDecoder",
    "MatmulSpectralBranch",
    "SplitDepthwise",
    "SummedReceptiveField",
    "blend_by_interpolation",
    "cut_transposed_convolutions",
    "fold_batch_norm",
    "layer_norm_as_convolutions",
    "norms_as_arithmetic",
    "phase_upsample",
    "replace_modules",
    "replace_spectral_branches",
    "spectral_as_matmul",
    "split_depthwise",
    "sum_branches",
]
