"""Lowering to OpenVINO IR: the network from PyTorch, the preprocessing by OpenVINO's own PrePostProcessor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import nn

from s2m_edge.deploy.interface import ARTIFACT_STEM, TensorInterface
from s2m_edge.imaging.preprocess import Preprocessing
from s2m_edge.network.fake_quantized.lower import with_integer_operations
from s2m_edge.targets.base import Exporter, LoweringRequest
from s2m_edge.targets.deployed import DeployedNetwork
from s2m_edge.targets.half_storage import halved
from s2m_edge.targets.openvino.backend import import_openvino
from s2m_edge.targets.openvino.extension import build_extension
from s2m_edge.targets.openvino.naming import convert_with_module_names
from s2m_edge.targets.quiet import quiet_backend
from s2m_edge.targets.rewrites import norms_as_arithmetic, spectral_as_matmul
from s2m_edge.targets.rewrites.compact_spectral import compact_spectral
from s2m_edge.targets.rewrites.operators import Rule, in_plain_operators
from s2m_edge.targets.rewrites.operators.selecting import copy_of_its_size

if TYPE_CHECKING:
    import openvino

METADATA_SECTION = "s2m_edge"
LACKING: Mapping[Any, Rule] = {torch.ops.aten.copy.default: copy_of_its_size}
"""Rules for what OpenVINO's frontend converts wrong: a copy to every second place has the size of all of them."""


class OpenVINOExporter(Exporter):
    """OpenVINO IR whose input is the fitted picture, 1 x height x width x channels, uint8.

    Spectral lowering "matmul" uses OpenVINO's own operations; "custom" keeps one SpectralFilter node per filter, which
    is read and executed by our extension library (`targets/openvino/extension.py`).

    float16 stores the weights in half precision; a device computes in whatever precision it is asked for.
    """

    interface: ClassVar[TensorInterface] = TensorInterface(input_dtype="uint8", layout="NHWC")

    def lower(self, request: LoweringRequest) -> openvino.Model:
        """The IR in memory: static shape, preprocessing and metadata inside, output probabilities.

        Raises:
            NativeBuildError: "custom", and the extension library cannot be built here.
        """
        custom = request.spectral == "custom"
        extensions = [build_extension()] if custom else []  # first, because this is what may be missing
        # In "custom" the op that the network calls stays one opaque node of the exported program.
        network = request.network
        if not custom:
            as_matrices = compact_spectral if request.quantized else spectral_as_matmul
            network = as_matrices(network, request.example())
        network = norms_as_arithmetic(network)
        if request.quantized:
            # The frontend folds a dequantization of constants, to int8 and to no use; a product it keeps.
            network = with_integer_operations(network, weights="multiply")
        return self._convert(network, request, extensions)

    def _convert(self, network: nn.Module, request: LoweringRequest, extensions: Sequence[Path]) -> openvino.Model:
        example = request.example()
        with quiet_backend(), torch.no_grad():
            deployed = DeployedNetwork(in_plain_operators(network, example, LACKING)).eval()
            program = torch.export.export(deployed, (example,))
            model = convert_with_module_names(program, extensions)
        # Converted inputs have dynamic axes, although each filter belongs to one size.
        model.reshape(list(example.shape))
        model.output().get_tensor().set_names({self.interface.output_name})
        model = _with_preprocessing(model, request.preprocessing)
        model.input().get_tensor().set_names({self.interface.input_name})
        model.input().get_node().set_friendly_name(self.interface.input_name)
        model.set_friendly_name(request.metadata.get("name", ARTIFACT_STEM))
        for key, value in request.metadata.items():
            model.set_rt_info(value, [METADATA_SECTION, key])
        return model

    def save(self, lowered: Any, path: Path, request: LoweringRequest) -> None:
        """Write `path` (.xml) and the weights beside it (.bin)."""
        if request.precision == "float16" or request.quantized:  # of int8, what stays float
            _store_weights_as_float16(lowered)
        import_openvino().save_model(lowered, path, compress_to_fp16=False)


def _store_weights_as_float16(model: openvino.Model) -> None:
    """Round the large constants of `model` to float16, with a conversion to float32 behind each; in place.

    OpenVINO's own compression would round every constant, small ones too.
    """
    import_openvino()
    from openvino import opset13

    for node in model.get_ordered_ops():
        if node.get_type_name() != "Constant" or node.get_element_type().get_type_name() != "f32":
            continue
        values = halved(node.data)
        if values is None:
            continue
        widened = opset13.convert(opset13.constant(values), "f32")
        widened.set_friendly_name(node.get_friendly_name())
        for consumer in node.output(0).get_target_inputs():
            consumer.replace_source_output(widened.output(0))


def _with_preprocessing(model: openvino.Model, preprocessing: Preprocessing) -> openvino.Model:
    """`model` with uint8 NHWC to normalised float32 NCHW in front: (x * scale - mean) / deviation."""
    from openvino.preprocess import PrePostProcessor

    ov = import_openvino()
    channels, scale = preprocessing.channels, preprocessing.scale
    # OpenVINO subtracts first and divides afterwards, both in units of the picture.
    means = [mean / scale for mean in preprocessing.mean[:channels]]
    divisors = [deviation / scale for deviation in preprocessing.standard_deviation[:channels]]
    processor = PrePostProcessor(model)
    image = processor.input()
    image.tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    image.model().set_layout(ov.Layout("NCHW"))
    steps = image.preprocess().convert_element_type(ov.Type.f32)
    if any(means):
        steps.mean(means)
    steps.scale(divisors)
    return processor.build()
