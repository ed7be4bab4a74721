"""The spectral filter as one ONNX node, s2m_edge::SpectralFilter, whose meaning travels with the model.

The node's FunctionProto is made of standard operators, so any runtime runs the model as it is; one that has a kernel
of this domain and name may use that instead. The node takes four tensors:

    image  B x C x N x N
    basis  N x 2M, cosines then sines, orthonormally scaled (`s2m_edge.network.spectral.dft.dft_basis`)
    even   C x M x M, P of `s2m_edge.network.spectral.dft`, width frequencies first
    odd    C x M x M, Q likewise

P and Q replace the filter; together they are about half its size, because the folding has used its symmetry up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from s2m_edge.network.blocks import SpectralBranch
from s2m_edge.network.spectral.dft import dft_basis, fold_filter, frequency_count
from s2m_edge.network.spectral.reference import crop_filter
from s2m_edge.targets.rewrites.spectral import Network, replace_spectral_branches, require_square

if TYPE_CHECKING:
    import onnx

OPSET = 20
DOMAIN = "s2m_edge"
OPERATOR = "SpectralFilter"
DOMAIN_VERSION = 1

# T' = basis' (image basis)' and so on, line by line as in spectral/dft.py: transform, gains, inverse transform.
FUNCTION = f"""
<domain: "{DOMAIN}", opset_import: ["" : {OPSET}]>
{OPERATOR} (image, basis, even, odd) => (filtered)
{{
    along_width = MatMul (image, basis)
    columns = Transpose <perm = [0, 1, 3, 2]> (along_width)
    spectrum = MatMul (columns, basis)
    direct_rows = Concat <axis = -1> (even, even)
    direct = Concat <axis = -2> (direct_rows, direct_rows)
    minus_odd = Neg (odd)
    upper_rows = Concat <axis = -1> (minus_odd, odd)
    lower_rows = Concat <axis = -1> (odd, minus_odd)
    crossed = Concat <axis = -2> (upper_rows, lower_rows)
    upper, lower = Split <axis = -2, num_outputs = 2> (spectrum)
    swapped_rows = Concat <axis = -2> (lower, upper)
    left, right = Split <axis = -1, num_outputs = 2> (swapped_rows)
    swapped = Concat <axis = -1> (right, left)
    direct_part = Mul (direct, spectrum)
    crossed_part = Mul (crossed, swapped)
    gained = Add (direct_part, crossed_part)
    inverse_basis = Transpose <perm = [1, 0]> (basis)
    along_height = MatMul (gained, inverse_basis)
    rows = Transpose <perm = [0, 1, 3, 2]> (along_height)
    filtered = MatMul (rows, inverse_basis)
}}
"""


class NodeSpectralBranch(nn.Module):
    """A SpectralBranch for export only: its filter becomes one s2m_edge::SpectralFilter node.

    Args:
        branch: the trained branch.
        height, width: of its map, which is square.

    Raises:
        CapabilityError: it is not.
    """

    basis: Tensor
    even: Tensor
    odd: Tensor

    def __init__(self, branch: SpectralBranch, height: int, width: int) -> None:
        super().__init__()
        length = require_square(height, width, "the node SpectralFilter")
        weight = crop_filter(branch.filter.detach(), height, width)
        kept = weight.shape[-1]
        count = frequency_count(kept)
        direct, crossed = fold_filter(weight.double())
        # Of [P P; P P] and [-Q Q; Q -Q] one block each.
        self.register_buffer("even", direct[:, :count, :count].to(weight.dtype).contiguous())
        self.register_buffer("odd", crossed[:, :count, count:].to(weight.dtype).contiguous())
        self.register_buffer("basis", dft_basis(length, kept).to(weight.dtype))
        self.norm = branch.norm

    def forward(self, x: Tensor) -> Tensor:
        filtered = torch.onnx.ops.symbolic(
            f"{DOMAIN}::{OPERATOR}",
            (x, self.basis, self.even, self.odd),
            dtype=x.dtype,
            shape=x.shape,
            version=DOMAIN_VERSION,
        )
        return self.norm(filtered)


def spectral_as_node(network: Network, image: Tensor) -> Network:
    """A copy of `network`, for export only, with every spectral filter as one node; `image` of the network's size."""
    return replace_spectral_branches(network, image, NodeSpectralBranch)


def add_function(model: onnx.ModelProto) -> None:
    """Append the body of s2m_edge::SpectralFilter to `model`."""
    from onnx import parser

    function = parser.parse_function(FUNCTION)
    function.doc_string = "y = Re(IFFT2(pad(W * crop(fftshift(FFT2(x)))))) as real matrix products, arXiv 2601.01285"
    model.functions.append(function)
