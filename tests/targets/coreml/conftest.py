"""Four saved packages that cover both precisions, both lowerings, both layouts, grey pictures and softmax."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from s2m_edge.deploy.activation import probabilities_from_logits
from s2m_edge.imaging.preprocess import Preprocessing, normalise
from s2m_edge.network.config import S2MNetConfig
from s2m_edge.network.model import S2MNet
from s2m_edge.targets.base import LoweringRequest
from s2m_edge.targets.coreml.run import CoreMLRunner
from s2m_edge.targets.registry import find_target
from support import lowering_request

METADATA = {"name": "Test net", "version": "3.2.1", "licence": "MIT", "notice": "Research use only.", "dataset": "none"}


@dataclass(frozen=True)
class Saved:
    """A package on disk, the network that it was made from, and that network's values before the export."""

    path: Path
    request: LoweringRequest
    before: dict[str, torch.Tensor]

    def runner(self, path: Path | None = None) -> CoreMLRunner:
        interface = find_target("coreml").make_exporter().interface
        return CoreMLRunner(path or self.path, interface, self.request.preprocessing, self.request.precision)

    def picture(self, seed: int = 0) -> NDArray[np.uint8]:
        height, width, channels = self.request.preprocessing.fitted_shape
        coarse = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, channels), dtype=np.uint8)
        return coarse.repeat(8, axis=0).repeat(8, axis=1)

    def expected(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.no_grad():
            image = torch.from_numpy(normalise(picture, self.request.preprocessing))
            return probabilities_from_logits(self.request.network(image))[0].numpy()


def random_network(config: S2MNetConfig) -> S2MNet:
    """Untrained, with statistics and filters that let no mistake cancel, and an output that uses its range."""
    torch.manual_seed(7)
    model = S2MNet(config).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0.0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(module.weight, 0.7, 1.3)
            nn.init.normal_(module.bias, 0.0, 0.1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("spectral.filter"):
                parameter.add_(0.3 * torch.randn_like(parameter))
            elif name.endswith(("norm.weight", "norm.bias", "fuse.1.weight", "fuse.1.bias")):
                parameter.add_(0.2 * torch.randn_like(parameter))
        last = model.head[-1]
        assert isinstance(last, nn.Conv2d)
        _spread(last, model(torch.rand(1, config.in_channels, config.size, config.size)))
    return model


def _spread(last: nn.Conv2d, logits: torch.Tensor) -> None:
    """Rescale the last convolution so that its logits have mean 0 and deviation 1 in each class."""
    assert last.bias is not None
    mean, factor = logits.mean(dim=(0, 2, 3)), 1.0 / logits.std(dim=(0, 2, 3))
    last.weight.mul_(factor[:, None, None, None])
    last.bias.sub_(mean).mul_(factor)


@cache
def _colour_network() -> S2MNet:
    return random_network(S2MNetConfig.preset("paper", size=96))


def _request(name: str) -> LoweringRequest:
    match name:
        case "float32-matmul":
            return lowering_request(_colour_network(), "float32", "matmul", Preprocessing(96, 96), METADATA)
        case "float32-custom":
            return lowering_request(_colour_network(), "float32", "custom", Preprocessing(96, 96), METADATA)
        case "float16-matmul-grey":
            grey = random_network(S2MNetConfig.preset("released", size=96, in_channels=1))
            preprocessing = Preprocessing(96, 96, 1, mean=(0.4,), standard_deviation=(0.3,))
            return lowering_request(grey, "float16", "matmul", preprocessing)
        case "float16-custom-classes":
            classes = random_network(S2MNetConfig.preset("paper", size=96, classes=3))
            preprocessing = Preprocessing(96, 96, mean=(0.485, 0.456, 0.406), standard_deviation=(0.229, 0.3, 0.4))
            return lowering_request(classes, "float16", "custom", preprocessing)
        case "float32-matmul-352":
            large = random_network(S2MNetConfig.preset("paper", size=352))
            return lowering_request(large, "float32", "matmul", Preprocessing(352, 352))
        case "float16-custom-352":
            large = random_network(S2MNetConfig.preset("paper", size=352))
            return lowering_request(large, "float16", "custom", Preprocessing(352, 352))
        case _:
            raise ValueError(name)


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Saved]:
    """The package that `_request` calls by this name, exported when it is first asked for."""

    @cache
    def make(name: str) -> Saved:
        request = _request(name)
        folder = tmp_path_factory.mktemp(name)
        before = copy.deepcopy(request.network.state_dict())
        return Saved(find_target("coreml").make_exporter().export(request, folder), request, before)

    return make


@pytest.fixture
def tampered(saved: Callable[[str], Saved], tmp_path: Path) -> Callable[[Callable[[Any], None]], Path]:
    """A copy of the float32 package whose Model message went through an edit."""

    def make(edit: Callable[[Any], None]) -> Path:
        from s2m_edge.targets.coreml.evaluator import open_package

        path = tmp_path / "tampered.mlpackage"
        shutil.copytree(saved("float32-matmul").path, path)
        package = open_package(path)
        edit(package.model)
        (package.model_folder / "model.mlmodel").write_bytes(package.model.SerializeToString())
        return path

    return make
