"""int8 for LiteRT's converter: what it would give one scale is computed in float between rounded tensors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from networks import lively, seeded
from s2m_edge.deploy.spec import make_spec
from s2m_edge.imaging.preprocess import normalise
from s2m_edge.imaging.read import read_image
from s2m_edge.quantize.network import quantize_network
from s2m_edge.targets.export import export_bundle
from s2m_edge.targets.registry import find_target


class Averaged(nn.Module):
    """Means of 4 x 4, whose range is a fraction of what they are taken from; B x 3 x H x W to B x 1 x H x W."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 1), nn.Conv2d(8, 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        averages = self.second(functional.avg_pool2d(functional.relu(self.first(image)), 4))
        return self.head(functional.interpolate(averages, scale_factor=4.0))


def test_averages_of_neighbours_keep_the_peaks_of_what_they_are_taken_from(tmp_path: Path):
    spec = make_spec("averaged", height=32, width=48, classes=("polyp",))
    network = lively(seeded(Averaged), spec, offset=2.0)
    # Noise: its single pixels reach three times as far as its means do.
    generator = np.random.default_rng(0)
    images = [tmp_path / f"noise-{index}.png" for index in range(2)]
    for image in images:
        Image.fromarray(generator.integers(0, 256, (32, 48, 3), dtype=np.uint8)).save(image)
    noise = [torch.from_numpy(normalise(read_image(image), spec.preprocessing)[0]) for image in images]
    quantized = quantize_network(network, spec, noise)
    bundle = tmp_path / "bundle"
    result = export_bundle(find_target("litert"), quantized, spec, precision="int8", images=images, out=bundle)
    assert max(image.max_probability_error for image in result.parity.images) < 1e-3
