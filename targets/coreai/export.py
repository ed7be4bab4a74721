"""Lowering to a Core AI asset (.aimodel) through coreai-torch, on Linux or macOS."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from s2m_edge.quantized.lower import with_integer_operations
from s2m_edge.targets.base import INPUT_NAME, OUTPUT_NAME, Exporter, LoweringRequest, TensorInterface
from s2m_edge.targets.coreai.kernel import metal_kernel, require_kernel_fits, run_as_kernel
from s2m_edge.targets.coreai.lowerings import decomposition_table, register_lowerings
from s2m_edge.targets.coreai.quiet import quiet_coreai
from s2m_edge.targets.coreai.spectral import with_constant_filters
from s2m_edge.targets.coreml.half import round_kernels, with_exact_half_input
from s2m_edge.targets.deployed import DeployedNetwork
from s2m_edge.targets.rewrites import fold_batch_norm

FUNCTION = "main"


class PictureNetwork(nn.Module):
    """Probabilities 1 x classes x size x size, float32, of a fitted picture 1 x size x size x channels, uint8."""

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
            require_kernel_fits(request.model.config)
        preprocessing = request.preprocessing
        # A quantized network has its BatchNorm folded already.
        network = request.model if request.precision == "int8" else fold_batch_norm(request.model)
        if request.precision == "float16":
            network, preprocessing = with_exact_half_input(network, preprocessing)
            network = round_kernels(network)
        network = with_constant_filters(network, run_as_kernel) if custom else with_constant_filters(network)
        if request.precision == "int8":
            network = with_integer_operations(network)
        return self._convert(network, replace(request, preprocessing=preprocessing), kernels=custom)

    def lower_network(self, network: nn.Module, request: LoweringRequest) -> Any:
        return self._convert(network, request, kernels=False)

    def _convert(self, network: nn.Module, request: LoweringRequest, kernels: bool) -> Any:
        preprocessing = request.preprocessing
        dtype = torch.float16 if request.precision == "float16" else torch.float32
        picture = PictureNetwork(DeployedNetwork(network, preprocessing), dtype).eval()
        example = torch.zeros(1, preprocessing.size, preprocessing.size, preprocessing.channels, dtype=torch.uint8)
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
