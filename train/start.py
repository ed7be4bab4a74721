"""Starting from a checkpoint: of another resolution, other channels or other classes, but of the same layout."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from s2m_edge.checkpoint import CheckpointHeader, load_model, read_header
from s2m_edge.errors import CheckpointError
from s2m_edge.network.config import S2MNetConfig
from s2m_edge.network.model import S2MNet
from s2m_edge.train.module import SegmentationModule
from s2m_edge.train.teacher.file import TeacherHeader, load_teacher, read_teacher_header
from s2m_edge.train.teacher.network import TeacherNetwork

STEM_WEIGHT = "stem.0.weight"
CLASSIFIER = ("head.5.weight", "head.5.bias")


def own_network(module: SegmentationModule) -> S2MNet:
    """The module's network, which is S2M-Net wherever a recipe is trained."""
    assert isinstance(module.network, S2MNet), "a recipe trains no other"
    return module.network


def start_from(module: SegmentationModule, start: Path | None) -> CheckpointHeader | TeacherHeader | None:
    """Load a checkpoint into the module's network; filters are resampled without a warning, as recipes mean it."""
    if start is None:
        return None
    if isinstance(module.network, TeacherNetwork):
        return _teacher_from(module.network, start)
    header, config = read_header(start), own_network(module).config
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        weights = load_model(start, size=config.size).state_dict()
    try:
        module.network.load_state_dict({**weights, **_adapted(weights, module.network.state_dict())})
    except RuntimeError:
        raise CheckpointError(
            f"{start} has another layout than the recipe ({_unlike(header.config, config)})",
            "Change the recipe's layout, or leave --start out.",
        ) from None
    return header


def _unlike(start: S2MNetConfig, recipe: S2MNetConfig) -> str:
    """What of two layouts differs, in words; sizes, channels and classes may."""
    fitted = replace(start, size=recipe.size, in_channels=recipe.in_channels, classes=recipe.classes).to_dict()
    unlike = {name: (fitted[name], value) for name, value in recipe.to_dict().items() if fitted[name] != value}
    return "; ".join(f"{name}: {_plain(one)}, the recipe's {_plain(other)}" for name, (one, other) in unlike.items())


def _plain(value: object) -> str:
    """A value of a configuration, and no word of Python."""
    if isinstance(value, tuple):
        return " ".join(map(str, value)) or "none"
    return str(value)


def _teacher_from(network: TeacherNetwork, start: Path) -> TeacherHeader:
    """Load a teacher's file; its layout knows no size."""
    header = read_teacher_header(start)
    if replace(header.config, size=network.config.size) != network.config:
        raise CheckpointError(
            f"{start} has the encoder {header.config.encoder} and {header.config.classes} classes, the recipe "
            f"{network.config.encoder} and {network.config.classes}",
            "Change the recipe's network, or leave --start out.",
        )
    network.load_state_dict(load_teacher(start).state_dict())
    return header


def _adapted(weights: dict[str, Tensor], own: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors that pictures of other channels, or other classes, need.

    A stem for colour takes grey pictures once its kernels are summed over the colours, and the other way round once
    they are spread over them: exactly, for R = G = B. Of other classes nothing is known; their layer stays random.
    """
    adapted: dict[str, Tensor] = {}
    stem = weights[STEM_WEIGHT]
    channels = own[STEM_WEIGHT].shape[1]
    if stem.shape[1] != channels:
        adapted[STEM_WEIGHT] = (
            stem.sum(1, keepdim=True) if channels == 1 else stem.expand(-1, channels, -1, -1) / channels
        )
    adapted |= {name: own[name] for name in CLASSIFIER if weights[name].shape != own[name].shape}
    return adapted
