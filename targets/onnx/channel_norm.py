"""LayerNorm over channels as one ONNX node, s2m_edge::ChannelNorm, whose meaning travels with the model.

Standard operators normalise the last axis, so a map is transposed before and after; our kernel reads it as it lies. The
node takes three tensors: image B x C x H x W, weight C, bias C.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from s2m_edge.network.blocks import ChannelLayerNorm
from s2m_edge.targets.onnx.spectral import DOMAIN, DOMAIN_VERSION, OPSET
from s2m_edge.targets.rewrites.replace import replace_modules
from s2m_edge.targets.rewrites.spectral import Network

if TYPE_CHECKING:
    import onnx

OPERATOR = "ChannelNorm"

FUNCTION = f"""
<domain: "{DOMAIN}", opset_import: ["" : {OPSET}]>
{OPERATOR} <epsilon> (image, weight, bias) => (normed)
{{
    last = Transpose <perm = [0, 2, 3, 1]> (image)
    normed_last = LayerNormalization <axis = -1, epsilon: float = @epsilon> (last, weight, bias)
    normed = Transpose <perm = [0, 3, 1, 2]> (normed_last)
}}
"""


class NodeChannelNorm(nn.Module):
    """A ChannelLayerNorm for export only: one s2m_edge::ChannelNorm node."""

    weight: Tensor
    bias: Tensor

    def __init__(self, norm: ChannelLayerNorm) -> None:
        super().__init__()
        self.epsilon = float(norm.epsilon)
        self.register_buffer("weight", norm.weight.detach())
        self.register_buffer("bias", norm.bias.detach())

    def forward(self, x: Tensor) -> Tensor:
        return torch.onnx.ops.symbolic(
            f"{DOMAIN}::{OPERATOR}",
            (x, self.weight, self.bias),
            attrs={"epsilon": self.epsilon},
            dtype=x.dtype,
            shape=x.shape,
            version=DOMAIN_VERSION,
        )


def channel_norms_as_nodes(network: Network) -> Network:
    """A copy of `network`, for export only, with every LayerNorm over channels as one node."""
    return replace_modules(network, ChannelLayerNorm, NodeChannelNorm)


def add_channel_norm(model: onnx.ModelProto) -> None:
    """Append the body of s2m_edge::ChannelNorm to `model`."""
    from onnx import parser

    function = parser.parse_function(FUNCTION)
    function.doc_string = "LayerNorm over the channels of each position"
    model.functions.append(function)
