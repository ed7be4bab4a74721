"""`--spectral custom`: the spectral filter as a registered composite op of coremltools.

ML Programs have no custom layers, so the op that stayed opaque in the exported graph becomes nine operations when it
is lowered. With D the basis of `s2m_edge.network.spectral.dft`, cosines and sines side by side, and D~ the same with
sines first, T = Dh' x Dw and roll(T) = Dh~' x Dw~: exchanging the four blocks costs nothing but other constants, and
the slices and concatenations of the matrix form are gone.

    y = Dh (direct * Dh' x Dw + crossed * Dh~' x Dw~) Dw'
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from s2m_edge.errors import LoweringError
from s2m_edge.network.spectral.dft import dft_basis, fold_filter
from s2m_edge.network.spectral.op import NAME, NAMESPACE
from s2m_edge.network.spectral.reference import crop_filter


@dataclass(frozen=True)
class SpectralConstants:
    """What one spectral filter needs, float32.

    Attributes:
        height, height_swapped: Dh and Dh~, H x 2*M1.
        width, width_swapped: Dw and Dw~, W x 2*M2.
        direct, crossed: C x 2*M1 x 2*M2, height frequencies first.
    """

    height: NDArray[np.float32]
    height_swapped: NDArray[np.float32]
    width: NDArray[np.float32]
    width_swapped: NDArray[np.float32]
    direct: NDArray[np.float32]
    crossed: NDArray[np.float32]


def _swapped(basis: Tensor) -> Tensor:
    return basis.roll(basis.shape[1] // 2, dims=1)


def spectral_constants(weight: Tensor, height: int, width: int) -> SpectralConstants:
    """The constants of a filter C x K1 x K2 on maps of height x width."""
    kept = crop_filter(weight.double(), height, width)
    rows, columns = dft_basis(height, kept.shape[-2]), dft_basis(width, kept.shape[-1])
    direct, crossed = fold_filter(kept)
    matrices = (rows, _swapped(rows), columns, _swapped(columns))
    gains = (direct.transpose(-2, -1), crossed.transpose(-2, -1))
    return SpectralConstants(*(matrix.float().contiguous().numpy() for matrix in (*matrices, *gains)))


def _lower_spectral_filter(context: Any, node: Any) -> None:
    from coremltools.converters.mil import Builder

    mb: Any = Builder  # its operations are added at run time
    x, weight = (context[name] for name in node.inputs)
    if weight.val is None:
        raise LoweringError(f"the filter of {node.name} is not a constant", "Export a trained network.")
    constants = spectral_constants(torch.from_numpy(np.array(weight.val)), int(x.shape[-2]), int(x.shape[-1]))
    spectrum = mb.matmul(x=constants.height, y=mb.matmul(x=x, y=constants.width), transpose_x=True)
    rolled = mb.matmul(x=constants.height_swapped, y=mb.matmul(x=x, y=constants.width_swapped), transpose_x=True)
    filtered = mb.add(x=mb.mul(x=spectrum, y=constants.direct), y=mb.mul(x=rolled, y=constants.crossed))
    rows = mb.matmul(x=constants.height, y=filtered)
    context.add(mb.matmul(x=rows, y=constants.width, transpose_y=True, name=node.name))


def register_spectral_filter() -> None:
    """Teach coremltools' PyTorch frontend the op `s2m_edge::spectral_filter`. Registering again changes nothing."""
    from coremltools.converters.mil.frontend.torch.torch_op_registry import register_torch_op

    # The frontend spells an overload packet with a colon pair or a dot, depending on where the graph came from.
    aliases = [f"{NAMESPACE}::{NAME}", f"{NAMESPACE}.{NAME}"]
    register_torch_op(torch_alias=aliases, override=True)(_lower_spectral_filter)
