"""The spectral filter as a Metal kernel of ours, which a Core AI asset carries as source."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from s2m_edge.errors import CapabilityError
from s2m_edge.network.blocks import SpectralBranch
from s2m_edge.network.spectral.dft import frequency_count
from s2m_edge.targets.coreai.spectral import filter_by_matrices

SOURCE = Path(__file__).resolve().parent / "native" / "spectral_filter.metal"
KERNEL_NAME = "s2m_edge_spectral_filter"
INPUTS = ("x", "rows", "columns", "direct", "crossed")
STORAGE = "STORAGE"
"""Stands for x's Metal type in the source."""

THREADS = 256
MOST_FREQUENCIES = 17
"""Per axis, counted from 0: K = 32 frequencies of either sign. Sets the kernel's threadgroup memory, 17 KB of 32."""


def kernel_body() -> str:
    """The Metal source between the braces of the kernel function, with its constants."""
    constants = f"constexpr int THREADS = {THREADS}, MOST_FREQUENCIES = {MOST_FREQUENCIES};\n"
    return constants + SOURCE.read_text(encoding="utf-8")


def require_kernel_fits(network: nn.Module) -> None:
    """Raise CapabilityError if the network's filters have more frequencies than the kernel has memory for."""
    branches = [module for module in network.modules() if isinstance(module, SpectralBranch)]
    most = max((frequency_count(kept) for branch in branches for kept in branch.filter.shape[-2:]), default=0)
    if most > MOST_FREQUENCIES:
        raise CapabilityError(
            f"the Metal kernel holds {MOST_FREQUENCIES} frequencies an axis, this network's filters have {most}",
            "Use --spectral matmul.",
        )


@cache
def metal_kernel() -> Any:
    """The `coreai_torch.TorchMetalKernel`: one per process, because it registers a torch operator under its name."""
    from coreai_torch import MetalParameter, TorchMetalKernel

    def definition(x: Tensor, rows: Tensor, columns: Tensor, direct: Tensor, crossed: Tensor) -> Tensor:
        return filter_by_matrices(x, rows, columns, direct, crossed).contiguous()

    # coreai-torch compares the annotations themselves, which this module's future import turned into text.
    definition.__annotations__ = {**dict.fromkeys(INPUTS, Tensor), "return": Tensor}
    return TorchMetalKernel(
        KERNEL_NAME,
        input_names=list(INPUTS),
        result_names=["y"],
        src=kernel_body(),
        torch_defn=definition,
        metal_params=[
            MetalParameter("group", "uint3", "threadgroup_position_in_grid"),
            MetalParameter("thread_index", "uint", "thread_index_in_threadgroup"),
        ],
        template_dtypes={"x": STORAGE},
    )


def run_as_kernel(x: Tensor, rows: Tensor, columns: Tensor, direct: Tensor, crossed: Tensor) -> Tensor:
    """`filter_by_matrices` as one call of the kernel in a traced graph; eager calls compute the matrices."""
    batch, channels = x.shape[:2]
    return metal_kernel()(
        x,
        rows,
        columns,
        direct,
        crossed,
        threads_per_grid=(THREADS * channels, batch, 1),
        threads_per_thread_group=(THREADS, 1, 1),
        result_shapes=[list(x.shape)],
    )
