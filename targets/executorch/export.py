"""Lowering to an ExecuTorch program that XNNPACK runs: from end to end, or around the spectral filter as one op."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from s2m_edge.deploy.interface import TensorInterface
from s2m_edge.deploy.precision import SpectralLowering
from s2m_edge.targets.base import Exporter, LoweringRequest
from s2m_edge.targets.executorch.operator_library import load_kernel
from s2m_edge.targets.executorch.partitioner import partitioner_type
from s2m_edge.targets.executorch.passes import idle_passes_left_out
from s2m_edge.targets.executorch.probabilities import DelegableProbabilities
from s2m_edge.targets.executorch.quantized import prepare_quantized, separate_dequantizations
from s2m_edge.targets.quiet import quiet_backend
from s2m_edge.targets.rewrites import (
    blend_by_interpolation,
    fold_batch_norm,
    layer_norm_as_convolutions,
    norms_as_arithmetic,
    phase_upsample,
    spectral_as_matmul,
    split_depthwise,
)
from s2m_edge.targets.rewrites.operators import Rule, in_plain_operators
from s2m_edge.targets.rewrites.operators.curves import scaled_elu
from s2m_edge.targets.rewrites.operators.selecting import BY_TAKING

if TYPE_CHECKING:
    from executorch.exir import ExecutorchProgramManager
    from torch.export import ExportedProgram

LACKING: Mapping[Any, Rule] = {
    **BY_TAKING,
    torch.ops.aten.elu.default: scaled_elu,
    torch.ops.aten.selu.default: scaled_elu,
}
"""Rules for what the runtime lacks (an order), and for what XNNPACK's delegate computes otherwise: it takes an ELU's
scales for 1."""


class ExecuTorchExporter(Exporter):
    """Lowers to a .pte program: method `forward`, float32 NCHW, plus one `get_<key>` method per metadata entry.

    With the lowering "custom" every spectral filter is one call of `s2m_edge::spectral_filter.out` between delegates;
    what runs the program has to have that operator (targets/executorch/native).
    """

    interface: ClassVar[TensorInterface] = TensorInterface(input_dtype="float32", layout="NCHW")

    def lower(self, request: LoweringRequest) -> ExecutorchProgramManager:
        if request.spectral == "custom":
            load_kernel()  # without it parity could not be shown; better known now than after a minute of lowering
        prepare = prepare_quantized if request.quantized else prepare_for_xnnpack
        return _lower(prepare(request.network, request.example(), request.spectral), request)

    def save(self, lowered: Any, path: Path, request: LoweringRequest) -> None:
        with path.open("wb") as file:
            lowered.write_to_file(file)


def _lower(network: nn.Module, request: LoweringRequest) -> ExecutorchProgramManager:
    with torch.no_grad():
        network = in_plain_operators(network, request.example(), LACKING)
        program = torch.export.export(network, (request.example(),), strict=False)
    separate_dequantizations(program)
    return lower_to_xnnpack(program, metadata_methods(request.metadata))


def prepare_for_xnnpack(network: nn.Module, image: Tensor, spectral: SpectralLowering = "matmul") -> nn.Module:
    """A copy of `network` with probabilities, rewritten so that XNNPACK has a kernel for every operator of S2M-Net.

    With the lowering "custom" the spectral filter is the exception and stays as it is. The order matters in one place:
    BatchNorm folds while a convolution still stands in front of it, that is before the depthwise split.

    Args:
        image: of the network's size, 1 x channels x height x width.
    """
    network = spectral_as_matmul(network, image) if spectral == "matmul" else network
    network = norms_as_arithmetic(split_depthwise(fold_batch_norm(network)))
    network = phase_upsample(blend_by_interpolation(layer_norm_as_convolutions(network)))
    return DelegableProbabilities(network).eval()


def lower_to_xnnpack(
    program: ExportedProgram, constant_methods: Mapping[str, Any] | None = None
) -> ExecutorchProgramManager:
    """The ExecuTorch program of an exported one, with everything that XNNPACK takes delegated.

    Args:
        program: float32.
        constant_methods: name to value of methods without arguments.
    """
    with quiet_backend():
        from executorch.backends.xnnpack.partition.config import ALL_PARTITIONER_CONFIGS
        from executorch.backends.xnnpack.partition.config.generic_node_configs import EluConfig
        from executorch.exir import to_edge_transform_and_lower

        # XNNPACK has ELU, but the list of all configurations lacks it (1.5.1).
        partitioner = partitioner_type()(configs=[*ALL_PARTITIONER_CONFIGS, EluConfig])
        with idle_passes_left_out():
            edge = to_edge_transform_and_lower(
                program, partitioner=[partitioner], constant_methods=dict(constant_methods or {})
            )
        return edge.to_executorch()


def metadata_methods(metadata: Mapping[str, str]) -> dict[str, str]:
    """Metadata as constant methods: `notice` becomes a method `get_notice` that returns the text."""
    return {f"get_{re.sub(r'[^0-9a-z]+', '_', key.lower()).strip('_')}": value for key, value in metadata.items()}
