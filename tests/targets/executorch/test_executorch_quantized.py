"""int8 of any network in forms that XNNPACK loads: every operator that has one, in one network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from networks import lively, seeded
from s2m_edge.deploy.spec import make_spec
from s2m_edge.quantize.network import quantize_network
from s2m_edge.samples import sample_images
from s2m_edge.targets.executorch.quantized import RepeatedPixels
from s2m_edge.targets.export import export_bundle
from s2m_edge.targets.registry import find_target


@pytest.mark.parametrize(("channels", "groups"), [(24, 1), (96, 2), (67, 67)])
def test_repeated_pixels_are_those_of_nearest_upsampling(channels: int, groups: int):
    repeat, x = RepeatedPixels(channels), torch.randn(2, channels, 3, 5)
    assert repeat.groups == groups
    assert torch.equal(repeat(x), functional.interpolate(x, scale_factor=2.0))


class EveryOperator(nn.Module):
    """B x 3 x H x W to B x 1 x H x W; H and W are multiples of 4."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding="same", padding_mode="reflect")
        self.depthwise = nn.Conv2d(8, 8, 7, padding=3, groups=8)
        self.grouped = nn.Conv2d(8, 8, 3, stride=2, padding=2, dilation=2, groups=2, bias=False)
        self.multiplied = nn.Conv2d(8, 16, 3, padding=1, groups=8)
        self.narrow = nn.Conv2d(16, 8, 1)
        self.fuse = nn.Conv2d(24, 8, 1)
        self.head = nn.Conv2d(8, 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        first = functional.relu6(self.first(image))
        depthwise = functional.elu(self.depthwise(first))
        small = functional.hardswish(self.grouped(depthwise))
        small = torch.relu(small + functional.max_pool2d(first, 2))
        wide = functional.leaky_relu(self.multiplied(small), 0.1)
        narrow = functional.silu(self.narrow(wide)) - functional.gelu(small)
        gate = functional.adaptive_avg_pool2d(narrow, 1).sigmoid() * functional.hardsigmoid(
            narrow.mean((2, 3), keepdim=True)
        )
        narrow = torch.tanh(narrow * gate)
        smaller = functional.pad(functional.avg_pool2d(narrow, 2), (1, 1, 1, 1))[:, :, 1:-1, 1:-1]
        turned = smaller.permute(0, 1, 3, 2).flatten(2).view((*smaller.shape[:2], smaller.shape[3], smaller.shape[2]))
        raised = functional.interpolate(turned.transpose(2, 3), scale_factor=2.0)
        joined = torch.cat(
            (
                functional.interpolate(raised, scale_factor=2.0, mode="bilinear"),
                functional.interpolate(narrow, scale_factor=2.0),
                first,
            ),
            1,
        )
        return self.head(functional.hardtanh(self.fuse(joined), -2.0, 2.0))


def test_a_network_of_every_operator_is_loaded_and_computes_the_same(tmp_path: Path):
    spec = make_spec("every-operator", height=32, width=48, classes=("polyp",))
    images = sample_images("polyp")[:2]
    network = lively(seeded(EveryOperator), spec, offset=2.0)
    generator = torch.Generator().manual_seed(0)
    quantized = quantize_network(network, spec, [torch.rand(3, 32, 48, generator=generator) for _ in range(2)])
    result = export_bundle(
        find_target("executorch"), quantized, spec, precision="int8", images=images, out=tmp_path / "bundle"
    )
    assert result.parity.passed
