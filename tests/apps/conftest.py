"""Fixtures: bundles of a network that is not S2M-Net, and what Python says of a picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from torch import nn

from foreign_network import foreign_network, foreign_spec
from once import once
from s2m_edge.deploy.activation import probabilities
from s2m_edge.deploy.bundle import Bundle, open_bundle
from s2m_edge.deploy.golden import reference_logits
from s2m_edge.deploy.spec import NetworkSpec
from s2m_edge.imaging.preprocess import fit_to_network
from s2m_edge.samples import sample_images
from s2m_edge.targets.export import export_bundle
from s2m_edge.targets.registry import find_target


@dataclass(frozen=True)
class Foreign:
    """A network with its specification."""

    network: nn.Module
    spec: NetworkSpec

    def probabilities(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities outputs x height x width, by PyTorch, of an RGB picture H x W x 3."""
        given = self.spec.preprocessing
        return probabilities(reference_logits(self.network, fit_to_network(image, given), given))


@pytest.fixture(scope="session")
def foreign() -> Foreign:
    """A plain U-Net, RGB, one class, 100 high and 68 wide, mean and deviation of ImageNet, of no known data."""
    spec = foreign_spec()
    return Foreign(foreign_network(spec, sample_images("polyp")), spec)


@pytest.fixture(scope="session")
def foreign_classes() -> Foreign:
    """The same for grey pictures and two classes beside the background."""
    spec = foreign_spec(("wall", "cavity"), channels=1)
    return Foreign(foreign_network(spec, sample_images("cardiac")), spec)


ExportForeign = Callable[[Foreign, str], Bundle]


@pytest.fixture(scope="session")
def export_foreign(tmp_path_factory: pytest.TempPathFactory) -> ExportForeign:
    """Exports a network for a target in float32, its parity gate included."""

    def export(foreign: Foreign, target: str) -> Bundle:
        images = sample_images("polyp" if foreign.spec.channels == 3 else "cardiac")

        def make(place: Path) -> Path:
            export_bundle(find_target(target), foreign.network, foreign.spec, images=images, out=place)
            return place

        name = f"foreign/{foreign.spec.name}-{foreign.spec.outputs}-{target}"
        return open_bundle(once(tmp_path_factory, name, make))

    return export
