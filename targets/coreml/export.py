"""Lowering to a Core ML ML Program, saved as an .mlpackage. Works on every system; running one takes macOS or iOS."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn

from s2m_edge.deploy.interface import INPUT_NAME, OUTPUT_NAME, TensorInterface
from s2m_edge.imaging.preprocess import Preprocessing
from s2m_edge.network.blocks import SpectralSpatialMixer
from s2m_edge.network.fake_quantized import is_quantized
from s2m_edge.network.fake_quantized.lower import with_integer_operations
from s2m_edge.targets.base import Exporter, LoweringRequest
from s2m_edge.targets.coreml.composite import register_spectral_filter
from s2m_edge.targets.coreml.compress import compress_weights
from s2m_edge.targets.coreml.frontend import known_to_coremltools
from s2m_edge.targets.coreml.metadata import write_metadata
from s2m_edge.targets.coreml.quiet import quiet_conversion
from s2m_edge.targets.deployed import DeployedNetwork
from s2m_edge.targets.quiet import quiet_backend
from s2m_edge.targets.rewrites import fold_batch_norm, spectral_as_matmul
from s2m_edge.targets.rewrites.half_precision import (
    round_kernels,
    with_exact_half_input,
    with_half_precision_epsilons,
)
from s2m_edge.targets.rewrites.operators import in_plain_operators

WEIGHTS_ALONE = ("int8-weights", "palette6")
HALF_PRECISIONS = ("float16", *WEIGHTS_ALONE)
DEBUG_MAPPING = "executorch_debug_handle_mapping.json"


class CoreMLExporter(Exporter):
    """Exports an ML Program for iOS 17, iPadOS 17, macOS 14 and later, with the picture itself as its input.

    coremltools folds every BatchNorm into its convolution.
    """

    interface: ClassVar[TensorInterface] = TensorInterface(input_dtype="uint8", layout="image")

    def lower(self, request: LoweringRequest) -> Any:
        """A `ct.models.MLModel` that was not compiled, so that it can be made on Linux."""
        with quiet_backend():
            import coremltools as ct

        if request.precision in HALF_PRECISIONS:
            request = for_half_precision(request)
        elif request.quantized and not has_quantized_mixers(request.network):
            # A rounded tensor in front of a LayerNorm cannot be scaled without its quantizer.
            request = replace(request, network=with_half_precision_epsilons(request.network))
        image = _image_type(request)
        program = _exported_program(request)
        if request.spectral == "custom":
            register_spectral_filter()
        with quiet_conversion():
            model = ct.convert(
                program,
                convert_to="mlprogram",
                minimum_deployment_target=ct.target.iOS17,
                compute_precision=_compute_precision(request),
                inputs=[image],
                outputs=[ct.TensorType(name=OUTPUT_NAME, dtype=float)],
                pass_pipeline=_exact_passes(),
                skip_model_load=True,
            )
            if request.precision in WEIGHTS_ALONE:
                model = compress_weights(model, request.precision)
        write_metadata(model, request)
        return model

    def save(self, lowered: Any, path: Path, request: LoweringRequest) -> None:
        """Write the package folder at `path`."""
        with quiet_backend():
            lowered.save(str(path))
        # A note for ExecuTorch's debugger, which is no part of the package's Manifest.
        (path / DEBUG_MAPPING).unlink(missing_ok=True)


def has_quantized_mixers(network: nn.Module) -> bool:
    """Whether an SSTM has quantizers inside, which the default configuration does not."""
    mixers = [module for module in network.modules() if isinstance(module, SpectralSpatialMixer)]
    return any(is_quantized(mixer) for mixer in mixers)


def for_half_precision(request: LoweringRequest) -> LoweringRequest:
    """The request with a network and a preprocessing that lose least in float16; equal to the given ones in float32."""
    # LayerNorm's epsilon, measured on an early trained network at 96, largest error on noise / black / crops of
    # photographs:
    #   the stored 1e-6 as it is     2.5e-4 / 4.5e-4 / 4.4e-3, but 20 subnormal epsilons
    #   LayerNorm in float32         2.3e-4 / 7.4e-4 / 3.9e-3, but 30 casts in the graph
    #   epsilon 2^-14                2.9e-4 / 1.5e-3 / 2.1e-3, but another function: up to 1.9e-3 off in float32
    #   this rewrite                 2.3e-4 / 5.6e-4 / 4.0e-3
    network = with_half_precision_epsilons(request.network)
    network, preprocessing = with_exact_half_input(network, request.preprocessing, request.example())
    network = round_kernels(fold_batch_norm(network))
    return replace(request, network=network, spec=request.spec.with_preprocessing(preprocessing))


def _exported_program(request: LoweringRequest) -> torch.export.ExportedProgram:
    network, image = request.network, request.example()
    if request.spectral == "matmul":
        network = spectral_as_matmul(network, image)
    if request.quantized:
        network = with_integer_operations(network)
    with torch.no_grad(), quiet_backend():
        deployed = DeployedNetwork(in_plain_operators(network, image)).eval()
        exported = torch.export.export(deployed, (image,))
        # The empty table: the default one adds reshapes, and coremltools refuses a program without this step.
        program = exported.run_decompositions({})
        return known_to_coremltools(program)


def _exact_passes() -> Any:
    """coremltools' graph passes, but for one that changes values.

    A scale and a shift for each channel (an affine group normalisation ends with them) become a batch_norm of mean 0,
    variance 1 and epsilon 1e-5, which divides by the root of 1.00001: a network with seven of them was 1.3e-5 off in
    its probabilities, and is 1.7e-6 off without.
    """
    import coremltools as ct

    passes: Any = ct.PassPipeline.DEFAULT
    passes.remove_passes({"common::fuse_elementwise_to_batchnorm"})
    return passes


def _compute_precision(request: LoweringRequest) -> Any:
    import coremltools as ct

    return ct.precision.FLOAT32 if request.precision == "float32" else ct.precision.FLOAT16


def _image_type(request: LoweringRequest) -> Any:
    import coremltools as ct

    preprocessing = request.preprocessing
    scale, bias = image_scale_and_bias(preprocessing)
    grey = preprocessing.channels == 1
    return ct.ImageType(
        name=INPUT_NAME,
        shape=(1, *preprocessing.image_shape),
        color_layout=ct.colorlayout.GRAYSCALE if grey else ct.colorlayout.RGB,
        scale=scale,
        bias=bias[0] if grey else bias,
    )


def image_scale_and_bias(preprocessing: Preprocessing) -> tuple[Any, list[float]]:
    """The contract's (x * scale - mean) / deviation as Core ML's x * scale + bias.

    Returns:
        The scale, one number, or channels x 1 x 1 where the deviations differ (coremltools writes it as a constant of
        a multiplication, which broadcasts), and the bias per channel.
    """
    channels = preprocessing.channels
    deviations = preprocessing.standard_deviation[:channels]
    bias = [-mean / deviation for mean, deviation in zip(preprocessing.mean[:channels], deviations, strict=True)]
    scales = [preprocessing.scale / deviation for deviation in deviations]
    return scales[0] if len(set(scales)) == 1 else [[[scale]] for scale in scales], bias
