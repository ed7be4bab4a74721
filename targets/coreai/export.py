"""Lowering to a Core AI asset (.aimodel) through coreai-torch, on Linux or macOS."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from s2m_edge.deploy.interface import INPUT_NAME, OUTPUT_NAME, TensorInterface
from s2m_edge.imaging.preprocess import Preprocessing
from s2m_edge.network.fake_quantized.lower import with_integer_operations
from s2m_edge.targets.base import Exporter, LoweringRequest
from s2m_edge.targets.coreai.lowerings import decomposition_table, lacking_operators, register_lowerings
from s2m_edge.targets.coreai.metal import metal_kernel, require_kernel_fits, run_as_kernel
from s2m_edge.targets.coreai.quiet import quiet_coreai
from s2m_edge.targets.coreai.spectral import filter_by_matrices, with_constant_filters
from s2m_edge.targets.deployed import DeployedNetwork
from s2m_edge.targets.rewrites import fold_batch_norm
from s2m_edge.targets.rewrites.half_precision import round_kernels, with_exact_half_input
from s2m_edge.targets.rewrites.operators import in_plain_operators

FUNCTION = "main"


class PictureNetwork(nn.Module):
    """Probabilities 1 x outputs x height x width, float32, of a fitted picture 1 x height x width x channels, uint8."""

    def __init__(self, deployed: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        # On a copy, because `to` converts in place.
        self.deployed = copy.deepcopy(deployed).to(dtype)
        self.dtype = dtype

    def forward(self, image: Tensor) -> Tensor:
        return self.deployed(image.permute(0, 3, 1, 2).to(self.dtype)).float()


class CoreAIExporter(Exporter):
    """A Core AI asset for iOS, iPadOS and macOS 27 whose input is the fitted picture, normalised inside.

    float16 stores and computes in half precision, except for the statistics of LayerNorm, which coreai-torch lowers in
    float32. int8 stores weights as int8 and rounds activations to int8, as the toolkit's quantized network says; the
    rest stays float32. Spectral lowering "matmul" uses Core AI's own operations; "custom" calls our Metal kernel, which
    runs on an Apple GPU only.
    """

    interface: ClassVar[TensorInterface] = TensorInterface(input_dtype="uint8", layout="NHWC")

    def lower(self, request: LoweringRequest) -> Any:
        """A `coreai.authoring.AIProgram`.

        Raises:
            CapabilityError: "custom", and the filters have more frequencies than the Metal kernel holds.
        """
        custom = request.spectral == "custom"
        if custom:
            require_kernel_fits(request.network)
        image, preprocessing = request.example(), request.preprocessing
        # A quantized network has its BatchNorm folded already.
        network = request.network if request.quantized else fold_batch_norm(request.network)
        if request.precision == "float16":
            network, preprocessing = with_exact_half_input(network, preprocessing, image)
            network = round_kernels(network)
        network = with_constant_filters(network, image, run_as_kernel if custom else filter_by_matrices)
        if request.quantized:
            network = with_integer_operations(network)
        with quiet_coreai(), torch.no_grad():
            network = in_plain_operators(network, image, lacking_operators())
        return self._convert(network, request, preprocessing, kernels=custom)

    def _convert(
        self, network: nn.Module, request: LoweringRequest, preprocessing: Preprocessing, kernels: bool
    ) -> Any:
        dtype = torch.float16 if request.precision == "float16" else torch.float32
        picture = PictureNetwork(DeployedNetwork(network, preprocessing), dtype).eval()
        example = torch.zeros(1, *preprocessing.fitted_shape, dtype=torch.uint8)
        with quiet_coreai(), torch.no_grad():
            from coreai_torch import TorchConverter

            program = torch.export.export(picture, (example,)).run_decompositions(decomposition_table())
            converter = TorchConverter(mode=TorchConverter.Mode.RELEASE)
            register_lowerings(converter)
            if kernels:
                converter.register_custom_kernels([metal_kernel()])
            converter.add_exported_program(
                program, input_names=[INPUT_NAME], output_names=[OUTPUT_NAME], entrypoint_name=FUNCTION
            )
            return converter.to_coreai()

    def save(self, lowered: Any, path: Path, request: LoweringRequest) -> None:
        """Write the asset folder at `path`."""
        with quiet_coreai():
            from coreai.runtime import AIModelAssetMetadata

            metadata = AIModelAssetMetadata()
            metadata.author = request.metadata.get("author", "s2m-edge")
            metadata.license = request.metadata.get("licence", "")
            metadata.model_description = request.metadata.get("description", request.metadata.get("name", "S2M-Net"))
            for key, value in request.metadata.items():
                metadata.set_custom(key, value)
            lowered.save_asset(path, metadata)
