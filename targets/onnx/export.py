"""Lowering to ONNX, opset 20, one self-contained file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import nn

from s2m_edge.deploy.interface import ARTIFACT_STEM, TensorInterface
from s2m_edge.network.fake_quantized.lower import with_integer_operations
from s2m_edge.targets.base import Exporter, LoweringRequest
from s2m_edge.targets.deployed import DeployedNetwork
from s2m_edge.targets.onnx.channel_norm import add_channel_norm, channel_norms_as_nodes
from s2m_edge.targets.onnx.compress import name_nodes_by_module, remove_traces, store_weights_as_float16
from s2m_edge.targets.onnx.mixed_precision import compute_in_float16
from s2m_edge.targets.onnx.quantized import complete_quantization
from s2m_edge.targets.onnx.quantized_elu import quantized_elus_as_nodes
from s2m_edge.targets.onnx.receptive_field import add_receptive_field, receptive_fields_as_nodes
from s2m_edge.targets.onnx.spectral import OPSET, add_function, spectral_as_node
from s2m_edge.targets.quiet import quiet_backend
from s2m_edge.targets.rewrites import (
    ArithmeticNorm,
    MatmulSpectralBranch,
    fold_batch_norm,
    norms_as_arithmetic,
    spectral_as_matmul,
    sum_branches,
)
from s2m_edge.targets.rewrites.operators import in_plain_operators

if TYPE_CHECKING:
    import onnx


class ONNXExporter(Exporter):
    """ONNX whose input is the normalised picture, 1 x channels x height x width, float32.

    Spectral lowering "matmul" uses standard operators only; "custom" keeps nodes of our own, of the domain s2m_edge:
    SpectralFilter, ChannelNorm and, where nothing is quantized, ReceptiveField, else QuantizedElu. Their bodies of
    standard operators are in the model, so that it too runs anywhere.

    float16 halves the download, not the arithmetic: large weights are stored as float16 and cast to float32 when the
    runtime loads the model. Input, output and computation stay float32. float16-mixed computes in float16 too, where
    half precision holds it.
    """

    interface: ClassVar[TensorInterface] = TensorInterface(input_dtype="float32", layout="NCHW")

    def lower(self, request: LoweringRequest) -> onnx.ModelProto:
        """The checked ModelProto: static shape, output probabilities, metadata in metadata_props."""
        custom = request.spectral == "custom"
        mixed = request.precision == "float16-mixed"
        image = request.example()
        lowered = spectral_as_node if custom else spectral_as_matmul
        rewritten = lowered(request.network, image)
        if request.quantized:
            integer = with_integer_operations(rewritten)  # its branches share a scale: joining them is a copy
            rewritten = channel_norms_as_nodes(integer) if custom else integer
        else:
            folded = norms_as_arithmetic(fold_batch_norm(rewritten))
            blocks = custom and not mixed  # a node of ours computes in float32, and these are most of the network
            rewritten = receptive_fields_as_nodes(folded) if blocks else sum_branches(folded)
            rewritten = channel_norms_as_nodes(rewritten) if custom else rewritten
        with quiet_backend(), torch.no_grad():
            rewritten = in_plain_operators(rewritten, image)
        model = _translate(DeployedNetwork(rewritten).eval(), image, self.interface)
        if custom:
            add_function(model)
            add_channel_norm(model)
            if not request.quantized and not mixed:
                add_receptive_field(model)
        if request.quantized:
            complete_quantization(model)
            if custom:
                quantized_elus_as_nodes(model)
        return _finished(model, request, _paths(rewritten, MatmulSpectralBranch, ArithmeticNorm))

    def save(self, lowered: Any, path: Path, request: LoweringRequest) -> None:
        """Write `path`, weights included."""
        import onnx

        onnx.save_model(lowered, path)


def _translate(network: nn.Module, example: torch.Tensor, interface: TensorInterface) -> onnx.ModelProto:
    with quiet_backend(), torch.no_grad():
        program = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[interface.input_name],
            output_names=[interface.output_name],
            verbose=False,
        )
    assert program is not None  # None only where a file name was given
    return program.model_proto


def _paths(network: nn.Module, *kinds: type[nn.Module]) -> list[str]:
    """Paths of the modules of some kinds, in a DeployedNetwork around `network`."""
    return [f"network.{name}" for name, module in network.named_modules() if isinstance(module, kinds)]


def _finished(model: onnx.ModelProto, request: LoweringRequest, exact_modules: list[str]) -> onnx.ModelProto:
    """The model as it is saved.

    Args:
        exact_modules: paths of modules that sum up maps, which half precision does not hold.
    """
    import onnx

    name_nodes_by_module(model)
    remove_traces(model)
    if request.precision == "float16-mixed":
        model = compute_in_float16(model, exact_modules)
    if request.precision.startswith("float16") or request.quantized:  # of both last, what stays float
        store_weights_as_float16(model)
    model.graph.name = ARTIFACT_STEM
    onnx.helper.set_model_props(model, dict(request.metadata))
    onnx.checker.check_model(model, full_check=True)
    return model
