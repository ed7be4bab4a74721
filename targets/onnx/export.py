"""Lowering to ONNX, opset 20, one self-contained file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import nn

from s2m_edge.quantized.lower import with_integer_operations
from s2m_edge.targets.base import ARTIFACT_STEM, Exporter, LoweringRequest, TensorInterface
from s2m_edge.targets.deployed import DeployedNetwork, example_image
from s2m_edge.targets.onnx.compress import name_nodes_by_module, remove_traces, store_weights_as_float16
from s2m_edge.targets.onnx.quantized import complete_quantization
from s2m_edge.targets.onnx.spectral import OPSET, add_function, spectral_as_node
from s2m_edge.targets.quiet import quiet_backend
from s2m_edge.targets.rewrites import fold_batch_norm, spectral_as_matmul, sum_branches

if TYPE_CHECKING:
    import onnx


class ONNXExporter(Exporter):
    """ONNX whose input is the normalised picture, 1 x channels x size x size, float32.

    Spectral lowering "matmul" uses standard operators only; "custom" keeps five s2m_edge::SpectralFilter nodes, whose
    body of standard operators is in the model, so that it too runs anywhere.

    float16 halves the download, not the arithmetic: large weights are stored as float16 and cast to float32 when the
    runtime loads the model. Input, output and computation stay float32.
    """

    interface: ClassVar[TensorInterface] = TensorInterface(input_dtype="float32", layout="NCHW")

    def lower(self, request: LoweringRequest) -> onnx.ModelProto:
        """The checked ModelProto: static shape, output probabilities, metadata in metadata_props."""
        custom = request.spectral == "custom"
        rewritten = spectral_as_node(request.model) if custom else spectral_as_matmul(request.model)
        if request.precision == "int8":
            rewritten = with_integer_operations(rewritten)  # its branches share a scale: joining them is a copy
        else:
            rewritten = sum_branches(fold_batch_norm(rewritten))
        model = self._translated(rewritten, request)
        if custom:
            add_function(model)
        if request.precision == "int8":
            complete_quantization(model)
        return _finished(model, request)

    def lower_network(self, network: nn.Module, request: LoweringRequest) -> onnx.ModelProto:
        return _finished(self._translated(network, request), request)

    def _translated(self, network: nn.Module, request: LoweringRequest) -> onnx.ModelProto:
        example = example_image(request.preprocessing.channels, request.preprocessing.size)
        return _translate(DeployedNetwork(network).eval(), example, self.interface)

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


def _finished(model: onnx.ModelProto, request: LoweringRequest) -> onnx.ModelProto:
    import onnx

    name_nodes_by_module(model)
    remove_traces(model)
    if request.precision in ("float16", "int8"):  # of int8, what stays float
        store_weights_as_float16(model)
    model.graph.name = ARTIFACT_STEM
    onnx.helper.set_model_props(model, dict(request.metadata))
    onnx.checker.check_model(model, full_check=True)
    return model
