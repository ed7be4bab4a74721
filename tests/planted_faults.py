"""A tiny lively network with one of everything, and what may go wrong in it."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from networks import lively, seeded
from s2m_edge.deploy.spec import NetworkSpec, make_spec
from s2m_edge.network.blocks import ChannelLayerNorm, ConvNorm, SpectralBranch

SIZE, WIDTH = 32, 8


class Joined(nn.Module):
    """Raises the deep map, puts the shallow one behind it, and mixes both."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = ConvNorm(2 * WIDTH, WIDTH, 3, nn.ReLU())
        self.swapped = False

    def forward(self, deep: Tensor, shallow: Tensor) -> Tensor:
        raised = nn.functional.interpolate(deep, scale_factor=2.0)
        return self.mix(torch.cat((shallow, raised) if self.swapped else (raised, shallow), dim=1))


class TinyNetwork(nn.Module):
    """Convolutions, a spectral filter, a LayerNorm over channels, a skip. B x 3 x 32 x 32 to logits B x 1 x 32 x 32."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvNorm(3, WIDTH, 3, nn.ELU())
        self.down = ConvNorm(WIDTH, WIDTH, 3, nn.ReLU(), stride=2)
        self.spectral = SpectralBranch(WIDTH, 8, 1e-3)
        self.deep = nn.Sequential(nn.Conv2d(WIDTH, WIDTH, 3, padding=1), ChannelLayerNorm(WIDTH, 1e-3), nn.ELU())
        self.joined = Joined()
        self.head = nn.Conv2d(WIDTH, 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        shallow = self.stem(image)
        deep = self.deep(self.spectral(self.down(shallow)))
        return self.head(self.joined(deep, shallow))


def tiny_network() -> tuple[TinyNetwork, NetworkSpec]:
    """The network with a filter that knows its axes apart, and what it says of itself."""
    network = seeded(TinyNetwork)
    assert isinstance(network, TinyNetwork)
    generator = torch.Generator().manual_seed(3)
    network.spectral.filter.copy_(0.5 + 0.4 * torch.randn(network.spectral.filter.shape, generator=generator))
    spec = make_spec("tiny", height=SIZE, width=SIZE, classes=("polyp",), provenance={"domain": "polyp"})
    lively(network, spec)
    return network, spec.of(network)


def wrong_weight(network: Any) -> None:
    network.down[0].weight[3] += 0.2


def swapped_axes(network: Any) -> None:
    network.spectral.filter.copy_(network.spectral.filter.transpose(1, 2).clone())


def other_epsilon(network: Any) -> None:
    network.deep[1].epsilon = 0.1


def swapped_order(network: Any) -> None:
    network.joined.swapped = True


def one_percent(network: Any) -> None:
    network.stem[0].weight.mul_(1.01)
    network.stem[0].bias.mul_(1.01)
    network.stem[1].running_mean.mul_(1.01)
    network.stem[1].weight.mul_(1.01)


FAULTS: dict[str, tuple[Callable[[Any], None], str]] = {
    "a scale is off by one percent": (one_percent, "stem"),
    "one kernel is another": (wrong_weight, "down"),
    "a filter has its axes swapped": (swapped_axes, "spectral"),
    "a norm has another epsilon": (other_epsilon, "deep"),
    "two maps are joined in the other order": (swapped_order, "joined"),
}
"""What is done to the network that is lowered, and the block in which it is done."""


def faulty(network: TinyNetwork, fault: str) -> TinyNetwork:
    """A copy with a fault."""
    changed = deepcopy(network)
    with torch.no_grad():
        FAULTS[fault][0](changed)
    return changed
