"""Products of two computed tensors: attention over positions, in the ways in which networks write it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from networks import seeded
from s2m_edge.deploy.spec import make_spec
from s2m_edge.imaging.preprocess import normalise
from s2m_edge.targets.base import LoweringRequest
from s2m_edge.targets.registry import find_target

TARGET = find_target("coreai")
if TARGET.version() is None:
    pytest.skip("coreai-torch is not installed", allow_module_level=True)

from s2m_edge.targets.coreai.run import CoreAIRunner  # noqa: E402

CHANNELS, HEIGHT, WIDTH = 8, 8, 12  # as many channels as rows
SPEC = make_spec("products", height=HEIGHT, width=WIDTH, classes=("polyp",))


def _flat(x: Tensor) -> Tensor:
    return x.flatten(2)


PRODUCTS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "matmul": lambda q, k: _flat(q).transpose(1, 2) @ _flat(k),
    "bmm": lambda q, k: torch.bmm(_flat(q).transpose(1, 2), _flat(k)),
    "mm": lambda q, k: torch.mm(_flat(q)[0].T, _flat(k)[0])[None],
    "einsum": lambda q, k: torch.einsum("bchw,bcij->bhwij", q, k).flatten(3).flatten(1, 2),
    "heads": lambda q, k: (_flat(q).unflatten(1, (2, 4)).transpose(2, 3) @ _flat(k).unflatten(1, (2, 4))).mean(1),
    "a cut": lambda q, k: functional.pad(_flat(q).transpose(1, 2) @ _flat(k)[..., 3:90], (3, HEIGHT * WIDTH - 90)),
    "reshaped": lambda q, k: (_flat(q).transpose(1, 2)[None] @ k.reshape(1, 1, CHANNELS, -1))[0],
    "constants": lambda q, k: torch.linspace(-1, 1, 96 * 8).sin().view(1, 96, 8) @ _flat(k),
    "a copy": lambda q, k: _flat(q).transpose(1, 2).contiguous() @ _flat(k).clone(),
}


class Attention(nn.Module):
    """B x 3 x H x W to logits: where each position looks, by one of `PRODUCTS`."""

    def __init__(self, product: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Conv2d(3, CHANNELS, 1) for _ in range(3))
        self.head, self.product = nn.Conv2d(CHANNELS, 1, 1, bias=False), product

    def forward(self, image: Tensor) -> Tensor:
        weights = (8 * self.product(self.query(image), self.key(image))).softmax(-1)
        seen = (weights @ self.value(image).flatten(2).transpose(1, 2)).transpose(1, 2)
        return 30 * self.head((seen - seen.mean(2, keepdim=True)).unflatten(2, (HEIGHT, WIDTH)))


@pytest.mark.parametrize("kind", PRODUCTS)
def test_positions_that_attend_to_each_other_meet_the_right_ones(kind: str, tmp_path: Path):
    network = seeded(lambda: Attention(PRODUCTS[kind]))
    picture = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    with torch.no_grad():
        expected = network(torch.from_numpy(normalise(picture, SPEC.preprocessing))).sigmoid().numpy()[0]
    assert float(expected.max() - expected.min()) > 0.05, "a constant answer proves nothing"
    request = LoweringRequest(network, SPEC, "float32", "matmul", {"name": "Products"})
    exporter = TARGET.make_exporter()
    runner = CoreAIRunner(exporter.export(request, tmp_path), exporter.interface, SPEC.preprocessing, "float32")
    np.testing.assert_allclose(runner.predict(picture), expected, atol=5e-6)
