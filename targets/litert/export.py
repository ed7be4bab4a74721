"""Lowering to a .tflite that XNNPACK runs from end to end, for LiteRT on phones, boards and computers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from s2m_edge.deploy.interface import INPUT_NAME, OUTPUT_NAME, TensorInterface
from s2m_edge.deploy.precision import SpectralLowering
from s2m_edge.targets.base import Exporter, LoweringRequest
from s2m_edge.targets.deployed import DeployedNetwork
from s2m_edge.targets.litert.backend import import_converter, quiet_litert
from s2m_edge.targets.litert.layout import ChannelsLastInput, prepared_module
from s2m_edge.targets.litert.model_file import ModelFile
from s2m_edge.targets.litert.quantized import integer_configuration, prepare_quantized
from s2m_edge.targets.litert.retrace import last_trace_left_out
from s2m_edge.targets.litert.spectral import spectral_as_composite
from s2m_edge.targets.rewrites import (
    blend_by_interpolation,
    cut_transposed_convolutions,
    fold_batch_norm,
    layer_norm_as_convolutions,
    norms_as_arithmetic,
    phase_upsample,
    spectral_as_matmul,
    split_depthwise,
)
from s2m_edge.targets.rewrites.operators import in_plain_operators


class LiteRTExporter(Exporter):
    """Lowers to a .tflite whose input is the normalised picture, 1 x height x width x channels, float32.

    The output is probabilities, 1 x outputs x height x width. With the lowering "custom" every spectral filter is one
    STABLEHLO_COMPOSITE operator, which a runtime executes by its decomposition or by a kernel of its own.

    float16 stores the weights in half precision; XNNPACK makes them float32 once, when the model is loaded, and
    computes in float32 unless an app asks it for half.
    """

    interface: ClassVar[TensorInterface] = TensorInterface(input_dtype="float32", layout="NHWC")

    def lower(self, request: LoweringRequest) -> bytes:
        """The flatbuffer as the converter gives it."""
        converter = import_converter()
        prepare = prepare_quantized if request.quantized else prepare_for_xnnpack
        network = cut_transposed_convolutions(request.network)
        network = prepare(network, request.example(), request.spectral)
        with quiet_litert(), torch.no_grad():
            network = in_plain_operators(network, request.example())
        wrapped = ChannelsLastInput(DeployedNetwork(network).eval(), OUTPUT_NAME)
        image = request.example().permute(0, 2, 3, 1).contiguous()
        with quiet_litert(), last_trace_left_out(), torch.no_grad():
            module = prepared_module(wrapped, image, request.quantized)
            quantization = integer_configuration() if request.quantized else None
            model = converter.convert(module, sample_kwargs={INPUT_NAME: image}, quant_config=quantization)
            return model.model_content()

    def save(self, lowered: Any, path: Path, request: LoweringRequest) -> None:
        model = ModelFile.from_bytes(lowered)
        model.cancel_transposes()
        model.take_and_give_floats()
        if request.precision == "float16" or request.quantized:  # of int8, what stays float
            model.store_weights_as_float16()
        model.name_tensors(INPUT_NAME, OUTPUT_NAME)
        model.add_metadata(request.metadata)
        path.write_bytes(model.to_bytes())


def prepare_for_xnnpack(network: nn.Module, image: Tensor, spectral: SpectralLowering = "matmul") -> nn.Module:
    """A copy of `network`, rewritten so that XNNPACK has a kernel for every operator of S2M-Net.

    BatchNorm folds while a convolution still stands in front of it, that is before the depthwise split.

    Args:
        image: of the network's size, 1 x channels x height x width.
    """
    rewrite = spectral_as_composite if spectral == "custom" else spectral_as_matmul
    network = norms_as_arithmetic(split_depthwise(fold_batch_norm(rewrite(network, image))))
    return phase_upsample(blend_by_interpolation(layer_norm_as_convolutions(network)))
