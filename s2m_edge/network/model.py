"""S2M-Net: encoder stages of MRF-SE and SSTM, a boundary-focused decoder, a full-resolution head."""

from __future__ import annotations

import itertools
from typing import NamedTuple

from torch import Tensor, nn

from s2m_edge.network.blocks import BoundaryFocusedDecoder, ConvNorm, MultiReceptiveField, SpectralSpatialMixer
from s2m_edge.network.config import S2MNetConfig


class EncoderStage(nn.Module):
    """Stride-2 convolution, MRF-SE, SSTM where the layout has one: B x Cin x H x W to B x C x ceil(H/2) x ceil(W/2)."""

    def __init__(self, in_channels: int, channels: int, stage: int, config: S2MNetConfig) -> None:
        super().__init__()
        self.down = ConvNorm(in_channels, channels, 3, nn.ELU(), stride=2)
        self.receptive = MultiReceptiveField(channels, config.expansion, config.dropout)
        mixes = stage in config.mixer_stages
        self.mixer = SpectralSpatialMixer(channels, stage, config) if mixes else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.mixer(self.receptive(self.down(x)))


class NetworkOutput(NamedTuple):
    """Logits B x classes x H x W, a boundary map B x 1 x h x w in [0, 1] of each decoder block, deepest first, and the
    results of the encoder stages (five in the published layouts) and of the decoder blocks (one fewer), B x C x h x w,
    in the order of computation."""

    logits: Tensor
    boundaries: tuple[Tensor, ...]
    features: tuple[Tensor, ...]


class S2MNet(nn.Module):
    """The network. `forward` maps images B x in_channels x size x size, values in [0, 1], to logits.

    Args:
        config: the layout; the paper's at 352 by default.
    """

    def __init__(self, config: S2MNetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or S2MNetConfig()
        channels = config.encoder_channels
        inputs = (config.stem_channels, *channels[:-1])
        self.stem = ConvNorm(config.in_channels, config.stem_channels, 3, nn.ELU())
        self.encoder = nn.ModuleList(
            EncoderStage(before, after, stage, config)
            for stage, (before, after) in enumerate(zip(inputs, channels, strict=True), start=1)
        )
        deep_to_shallow = channels[::-1]
        self.decoder = nn.ModuleList(
            BoundaryFocusedDecoder(deep, skip, skip) for deep, skip in itertools.pairwise(deep_to_shallow)
        )
        first, second = config.head_channels
        self.head = nn.Sequential(
            nn.Upsample(scale_factor=2, mode="nearest"),
            nn.Conv2d(channels[0], first, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(first, second, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(second, config.classes, 1),
        )

    @property
    def expected_rewrites(self) -> tuple[str, ...]:
        """The rewrites of `s2m_edge.targets.rewrites` that must find something in this network."""
        blocks = ("fold_batch_norm", "split_depthwise", "phase_upsample", "blend_by_interpolation", "sum_branches")
        mixers = ("layer_norm_as_convolutions", "spectral_as_matmul") if self.config.mixer_stages else ()
        return (*blocks, *mixers)

    @property
    def blocks(self) -> tuple[str, ...]:
        """The paths of its blocks, in the order of computation; `s2m_edge.targets.measure.locate` looks at them."""
        parts = ("down", "receptive", "mixer")
        encoder = (f"encoder.{stage}.{part}" for stage in range(len(self.encoder)) for part in parts)
        return ("stem", *encoder, *(f"decoder.{step}" for step in range(len(self.decoder))), "head")

    def forward_with_features(self, image: Tensor) -> NetworkOutput:
        """Logits, boundary maps, and what the blocks compute on the way.

        Args:
            image: B x in_channels x size x size, values in [0, 1].
        """
        x = self.stem(image)
        skips: list[Tensor] = []
        for stage in self.encoder:
            x = stage(x)
            skips.append(x)
        boundaries: list[Tensor] = []
        decoded: list[Tensor] = []
        for block, skip in zip(self.decoder, reversed(skips[:-1]), strict=True):
            x, beta = block(x, skip)
            boundaries.append(beta)
            decoded.append(x)
        return NetworkOutput(self.head(x), tuple(boundaries), (*skips, *decoded))

    def forward(self, image: Tensor) -> Tensor:
        """Logits, B x classes x size x size; see `probabilities_from_logits`."""
        return self.forward_with_features(image).logits


def count_parameters(model: nn.Module) -> tuple[int, int]:
    """Trainable parameters, and BatchNorm statistics (running mean and variance)."""
    trainable = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    statistics = sum(buffer.numel() for name, buffer in model.named_buffers() if name.endswith(("_mean", "_var")))
    return trainable, statistics
