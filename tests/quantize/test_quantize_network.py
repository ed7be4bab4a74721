"""Any network in its fake-quantized form: which tensors share a scale, and that it computes what the network does."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from networks import lively, plain_u_net, seeded
from s2m_edge.deploy.spec import make_spec
from s2m_edge.network.fake_quantized import activation_quantizers
from s2m_edge.network.fake_quantized.layers import quantized_convolutions, rounding_off
from s2m_edge.quantize.network import quantize_network


def pictures(count: int = 2, height: int = 32, width: int = 48) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(3, height, width, generator=generator) for _ in range(count)]


def test_what_is_joined_pooled_or_repeated_keeps_one_scale():
    network, spec = plain_u_net(32, 48)
    quantized = quantize_network(network, spec, pictures())
    seen: dict[str, list[tuple[int, ...]]] = {}
    for name, quantizer in activation_quantizers(quantized):

        def see(_: nn.Module, __: Any, result: Tensor, name: str = name) -> None:
            seen.setdefault(name, []).append(tuple(result.shape[1:]))

        quantizer.register_forward_hook(see)
    with torch.no_grad():
        quantized(torch.stack(pictures()))
    shapes = sorted(sorted(calls) for calls in seen.values())
    # The picture, the last block, and one for each skip, with what is pooled from it and what is raised beside it.
    assert [(3, 32, 48)] in shapes
    assert [(8, 32, 48)] in shapes
    joined = [group for group in shapes if len(group) > 1]
    assert [(8, 16, 24), (8, 32, 48), (16, 16, 24), (16, 32, 48), (24, 32, 48)] in joined
    assert [(16, 8, 12), (16, 16, 24), (32, 8, 12), (32, 16, 24), (48, 16, 24)] in joined
    assert len(shapes) == 4


class InPlace(nn.Module):
    """Writes into tensors that are read again, and adds with a factor."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Conv2d(3, 8, 3, padding="same"), nn.Conv2d(8, 8, 1), nn.Conv2d(8, 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        first = self.first(image)
        kept = first.clone()
        rectified = functional.relu_(first)
        flat = rectified.view(image.shape[0], 8, -1)
        flat.mul_(0.5)
        return self.head(torch.add(self.second(rectified), kept, alpha=2.0) + first)


def test_without_rounding_it_is_the_network_even_where_that_writes_in_place():
    spec = make_spec("in-place", height=32, width=48)
    network = lively(seeded(InPlace), spec)
    quantized = quantize_network(network, spec, pictures())
    image = pictures(1)[0][None]
    with torch.no_grad(), rounding_off(quantized):
        torch.testing.assert_close(quantized(image), network(image), rtol=1e-4, atol=1e-4)


def test_scales_are_numbers_of_half_precision():
    network, spec = plain_u_net(32, 48)
    quantized = quantize_network(network, spec, pictures())
    scales = [quantizer.scale for _, quantizer in activation_quantizers(quantized)]
    scales += [layer.weight_scale for _, layer in quantized_convolutions(quantized)]
    normal = torch.finfo(torch.float16).smallest_normal
    assert all(torch.equal(scale, scale.half().float()) for scale in scales if bool((scale >= normal).all()))
    assert any(bool((scale >= normal).all()) for scale in scales)


def test_an_elus_floor_is_for_what_an_elu_alone_sees():
    class Curved(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.alone, self.beside, self.head = nn.Conv2d(3, 8, 1), nn.Conv2d(3, 8, 1), nn.Conv2d(8, 1, 1)

        def forward(self, image: Tensor) -> Tensor:
            beside = self.beside(image)
            return self.head(functional.elu(self.alone(image)) + functional.elu(beside) + beside)

    spec = make_spec("curved", height=32, width=48)
    quantized = quantize_network(lively(seeded(Curved), spec), spec, pictures())
    floors = [quantizer.floor for _, quantizer in activation_quantizers(quantized)]
    assert sorted(floor for floor in floors if floor is not None) == [-5.0]
