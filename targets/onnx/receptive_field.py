"""A whole MRF-SE block as one ONNX node, s2m_edge::ReceptiveField, whose meaning travels with the model.

As with the spectral filter (`targets.onnx.spectral`), the node's FunctionProto is made of standard operators, so any
runtime runs the model as it is. Our kernel works on the block row by row, and its widest maps never leave the cache;
the standard operators write each of them to memory, in two layouts. The node takes seventeen tensors: the image,
B x C x H x W, then weight and bias of each convolution in the order of `CONVOLUTIONS`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from s2m_edge.errors import LoweringError
from s2m_edge.network.blocks import MultiReceptiveField
from s2m_edge.targets.onnx.spectral import DOMAIN, DOMAIN_VERSION, OPSET
from s2m_edge.targets.rewrites.replace import replace_modules
from s2m_edge.targets.rewrites.spectral import Network

if TYPE_CHECKING:
    import onnx

OPERATOR = "ReceptiveField"
CONVOLUTIONS = ("expand", "branch_3", "branch_5", "branch_7", "fuse", "reduce", "widen", "project")

# The branches' concatenation is left out: W [a; b; c] = Wa a + Wb b + Wc c. The number of groups is the width, which
# only the node knows.
FUNCTION = f"""
<domain: "{DOMAIN}", opset_import: ["" : {OPSET}]>
{OPERATOR} <width> (image, {", ".join(f"{name}, {name}_bias" for name in CONVOLUTIONS)}) => (result)
{{
    expanded_sum = Conv (image, expand, expand_bias)
    expanded = Elu (expanded_sum)
    sum_3 = Conv <pads = [1, 1, 1, 1], group: int = @width> (expanded, branch_3, branch_3_bias)
    sum_5 = Conv <pads = [2, 2, 2, 2], group: int = @width> (expanded, branch_5, branch_5_bias)
    sum_7 = Conv <pads = [3, 3, 3, 3], group: int = @width> (expanded, branch_7, branch_7_bias)
    filtered_3 = Elu (sum_3)
    filtered_5 = Elu (sum_5)
    filtered_7 = Elu (sum_7)
    fuse_3, fuse_5, fuse_7 = Split <axis = 1, num_outputs = 3> (fuse)
    fused_3 = Conv (filtered_3, fuse_3, fuse_bias)
    fused_5 = Conv (filtered_5, fuse_5)
    fused_7 = Conv (filtered_7, fuse_7)
    fused_35 = Add (fused_3, fused_5)
    fused_sum = Add (fused_35, fused_7)
    fused = Elu (fused_sum)
    mean = GlobalAveragePool (fused)
    reduced_sum = Conv (mean, reduce, reduce_bias)
    reduced = Elu (reduced_sum)
    widened = Conv (reduced, widen, widen_bias)
    gate = Sigmoid (widened)
    gated = Mul (fused, gate)
    projected = Conv (gated, project, project_bias)
    result = Add (image, projected)
}}
"""


class NodeReceptiveField(nn.Module):
    """A MultiReceptiveField for export only: the block becomes one s2m_edge::ReceptiveField node.

    Args:
        block: the trained block, its BatchNorms folded.

    Raises:
        LoweringError: one is not.
    """

    def __init__(self, block: MultiReceptiveField) -> None:
        super().__init__()
        if any(isinstance(module, nn.BatchNorm2d) for module in block.modules()):
            raise LoweringError("an MRF-SE block has a BatchNorm that is not folded", "Please report it.")
        gates = block.squeeze_excitation
        convolutions = [
            block.expand[0],
            *(branch[0] for branch in block.branches),  # pyright: ignore[reportIndexIssue]
            block.fuse[0],
            gates.reduce,
            gates.expand,
            block.project[0],
        ]
        self.names = CONVOLUTIONS
        for name, convolution in zip(CONVOLUTIONS, convolutions, strict=True):
            assert isinstance(convolution, nn.Conv2d)
            assert convolution.bias is not None
            self.register_buffer(name, convolution.weight.detach())
            self.register_buffer(f"{name}_bias", convolution.bias.detach())

    def forward(self, x: Tensor) -> Tensor:
        parts = [getattr(self, part) for name in self.names for part in (name, f"{name}_bias")]
        return torch.onnx.ops.symbolic(
            f"{DOMAIN}::{OPERATOR}",
            (x, *parts),
            attrs={"width": parts[0].shape[0]},
            dtype=x.dtype,
            shape=x.shape,
            version=DOMAIN_VERSION,
        )


def receptive_fields_as_nodes(network: Network) -> Network:
    """A copy of `network`, for export only, with every MRF-SE block as one node; comes after `fold_batch_norm`."""
    with torch.no_grad():
        return replace_modules(network, MultiReceptiveField, NodeReceptiveField, rewrite="sum_branches")


def add_receptive_field(model: onnx.ModelProto) -> None:
    """Append the body of s2m_edge::ReceptiveField to `model`."""
    from onnx import parser

    function = parser.parse_function(FUNCTION)
    function.doc_string = "MRF-SE: expand, depthwise 3, 5 and 7, fuse, squeeze-excitation, project; arXiv 2601.01285"
    model.functions.append(function)
