"""Other networks for segmentation, through the same exporters, for comparison of speed alone: their weights are random.

Nothing is rewritten for them; each backend's own optimizer does what it can, as for S2M-Net after its rewrites.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from torch import nn

from s2m_edge.errors import LoweringError
from s2m_edge.files import publish_folder, staged_folder
from s2m_edge.imaging.preprocess import Preprocessing
from s2m_edge.targets.base import ARTIFACT_STEM, LoweringRequest

if TYPE_CHECKING:
    from s2m_edge.model import S2MNet
    from s2m_edge.targets.registry import Target

TARGETS_FOR_PEERS = ("executorch", "openvino", "onnx")
LARGEST_ERROR = 1e-3
"""Of a probability, between a peer's artifact and PyTorch: more, and it is not the same network."""

_CHANNELS = 3


def _basic_unet() -> nn.Module:
    from monai.networks.nets import BasicUNet

    return BasicUNet(spatial_dims=2, in_channels=_CHANNELS, out_channels=1)


def _unet() -> nn.Module:
    from monai.networks.nets import BasicUNet

    return BasicUNet(spatial_dims=2, in_channels=_CHANNELS, out_channels=1, features=(64, 128, 256, 512, 1024, 64))


def _flexible_unet() -> nn.Module:
    from monai.networks.nets import FlexibleUNet

    return FlexibleUNet(in_channels=_CHANNELS, out_channels=1, backbone="efficientnet-b0", pretrained=False)


@dataclass(frozen=True)
class Peer:
    """A network to compare with.

    Attributes:
        name: of its files.
        title: short.
        description: what it is.
        build: makes it, one class, three channels, random weights.
    """

    name: str
    title: str
    description: str
    build: Callable[[], nn.Module]

    def make(self) -> nn.Module:
        """The network in eval mode, with the same random weights each time."""
        import torch

        with torch.random.fork_rng():
            torch.manual_seed(0)
            return self.build().eval().requires_grad_(False)


PEERS = (
    Peer("basic-unet", "BasicUNet", "MONAI's BasicUNet", _basic_unet),
    Peer("unet-31m", "U-Net 31M", "MONAI's BasicUNet with the widths of the first U-Net, 64 to 1024", _unet),
    Peer("flexible-unet-b0", "FlexibleUNet B0", "MONAI's FlexibleUNet on EfficientNet-B0", _flexible_unet),
)


def peer_preprocessing(size: int) -> Preprocessing:
    """RGB, 0..255 to 0..1."""
    return Preprocessing(size)


def export_peer(peer: Peer, target: Target, size: int, folder: Path) -> Path:
    """A peer's artifact under `folder`, exported unless it is there; it answers as PyTorch does.

    Raises:
        MissingBackendError, CapabilityError, LoweringError, OutputError: it cannot be lowered, or answers otherwise.
    """
    final = folder / f"{peer.name}-{size}-{target.name}-{target.version()}"
    name = f"{ARTIFACT_STEM}{target.suffix}"
    if (final / name).exists():
        return final / name
    network = peer.make()
    request = LoweringRequest(cast("S2MNet", network), "float32", "matmul", peer_preprocessing(size))
    exporter = target.make_exporter()
    with staged_folder(final) as stage:
        artifact = exporter.export_network(network, request, stage)
        _require_same_answer(network, target, artifact, request.preprocessing)
        publish_folder(stage, final)
    return final / name


def _require_same_answer(network: nn.Module, target: Target, artifact: Path, preprocessing: Preprocessing) -> None:
    import torch

    from s2m_edge.imaging.preprocess import normalise

    size = preprocessing.size
    fitted = np.random.default_rng(0).integers(0, 256, (size, size, _CHANNELS), dtype=np.uint8)
    with torch.inference_mode():
        expected = network(torch.from_numpy(normalise(fitted, preprocessing))).sigmoid()[0].numpy()
    runner = target.runner_class()(artifact, target.make_exporter().interface, preprocessing, "float32")
    error = float(np.abs(runner.predict(fitted) - expected).max())
    if not error <= LARGEST_ERROR:
        raise LoweringError(f"{target.title} computes something else: a probability differs by {error:.1e}")
