"""Fixtures: real pictures, small networks with every statistic disturbed, and exported bundles made once."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from s2m_edge.checkpoint import load_model, save_checkpoint
from s2m_edge.config import S2MNetConfig
from s2m_edge.model import S2MNet

POLYPS = Path(__file__).parent / "data" / "polyps"


def disturbed_network(size: int = 96, classes: int = 1, in_channels: int = 3, seed: int = 0) -> S2MNet:
    """A random network in eval mode whose BatchNorm statistics and filters would show any mistake of a lowering."""
    torch.manual_seed(seed)
    model = S2MNet(S2MNetConfig.preset("paper", size=size, classes=classes, in_channels=in_channels))
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                assert module.running_mean is not None
                assert module.running_var is not None
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
                module.weight.uniform_(0.7, 1.3)
                module.bias.normal_(0, 0.1)
        for stage in model.encoder:
            stage.mixer.spectral.filter.add_(0.2 * torch.randn_like(stage.mixer.spectral.filter))  # type: ignore[union-attr]
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="session")
def polyp_images() -> list[Path]:
    """Twenty real colonoscopy pictures."""
    found = sorted(POLYPS.glob("*.jpg"))
    assert len(found) == 20
    return found


@pytest.fixture(scope="session")
def small_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint at 96 x 96 with random weights, for what does not depend on accuracy."""
    path = tmp_path_factory.mktemp("checkpoint") / "small.safetensors"
    save_checkpoint(path, disturbed_network(), {"dataset": "none", "domain": "polyp", "class_names": ["polyp"]})
    return path


@pytest.fixture(scope="session")
def small_model(small_checkpoint: Path) -> S2MNet:
    """The network of `small_checkpoint`, as stored."""
    return load_model(small_checkpoint)
