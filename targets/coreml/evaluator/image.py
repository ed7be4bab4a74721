"""The image input: what Core ML does with a picture before the first operation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from s2m_edge.errors import ContractError, ImageError, LoweringError
from s2m_edge.targets.coreml.evaluator.values import TensorType, declared_type

# FeatureTypes.proto, enum ColorSpace: the channels of the tensor, as indices into an RGB (or grey) picture.
_CHANNEL_ORDERS = {10: (0,), 20: (0, 1, 2), 30: (2, 1, 0)}


@dataclass(frozen=True)
class ImageInput:
    """The one input. Core ML hands the pixels over as floats 0..255, planar; in an ML Program the scale and the bias
    of the image type are the program's first operations.

    Attributes:
        name: of the input.
        height, width: in pixels.
        channels: the picture's channel behind each plane.
        declared: the tensor that the program takes, 1 x channels x height x width.
    """

    name: str
    height: int
    width: int
    channels: tuple[int, ...]
    declared: TensorType

    def tensor(self, picture: NDArray[np.uint8]) -> Tensor:
        """The program's input for a picture height x width x channels, uint8.

        Raises:
            ImageError: the picture has another shape or type.
        """
        expected = (self.height, self.width, len(self.channels))
        if picture.dtype != np.uint8 or picture.shape != expected:
            raise ImageError(
                f"the package takes a picture {expected} of uint8, not {picture.shape} of {picture.dtype}",
                "Fit the picture to the network's size first.",
            )
        planes = torch.from_numpy(picture.transpose(2, 0, 1)[list(self.channels)].copy())
        assert self.declared.dtype is not None
        return planes[None].to(self.declared.dtype)


def image_input(description: Any, function: Any) -> ImageInput:
    """The input that a model description and its program agree on.

    Args:
        description: the ModelDescription message.
        function: the program's Function message.

    Raises:
        LoweringError: it is not one image.
        ContractError: the two do not agree.
    """
    if len(description.input) != 1 or description.input[0].type.WhichOneof("Type") != "imageType":
        raise LoweringError("the package's input is not one image", "Give a package that s2m-edge exported.")
    feature = description.input[0]
    image = feature.type.imageType
    if image.WhichOneof("SizeFlexibility") is not None:
        raise LoweringError("the package's image has a flexible size", "Export one package per resolution.")
    if image.colorSpace not in _CHANNEL_ORDERS:
        raise LoweringError(f"the package's image has colour space {image.colorSpace}", "It must be RGB, BGR or grey.")
    order = _CHANNEL_ORDERS[image.colorSpace]
    expected = TensorType(torch.float32, (1, len(order), int(image.height), int(image.width)))
    names = [value.name for value in function.inputs]
    if names != [feature.name]:
        raise ContractError(f"the package describes the input {feature.name}, its program takes {names}")
    declared = declared_type(function.inputs[0].type, feature.name)
    if declared != expected:
        raise ContractError(f"the package's image is {expected}, and its program takes {declared}")
    return ImageInput(feature.name, int(image.height), int(image.width), order, declared)
