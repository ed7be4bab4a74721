"""Frozen networks that answer for every picture that a network is trained on."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from s2m_edge.checkpoint import load_model, locate_checkpoint, read_header, require_float
from s2m_edge.errors import CheckpointError
from s2m_edge.network.model import S2MNet
from s2m_edge.train.distillation.compare import mean_prediction
from s2m_edge.train.teacher.file import is_teacher, load_teacher, read_teacher_header
from s2m_edge.train.teacher.network import TeacherNetwork

TeachingNetwork = S2MNet | TeacherNetwork


class Taught(NamedTuple):
    """Logits B x classes x H x W of float32, and what the first teacher's blocks computed (see `NetworkOutput`)."""

    logits: Tensor
    features: tuple[Tensor, ...]


class Teachers:
    """One teacher or several, whose probabilities are averaged. No part of a module's state.

    Args:
        networks: at least one; copied, the caller's stay as they are.
        mirrored: average over each picture and its mirror image, for twice the work.
    """

    def __init__(self, networks: Sequence[TeachingNetwork], *, mirrored: bool = False) -> None:
        self.networks = [copy.deepcopy(network).eval().requires_grad_(False) for network in networks]
        for network in self.networks:
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.mirrored = mirrored

    @torch.no_grad()
    def teach(self, image: Tensor) -> Taught:
        """The answer for pictures B x C x H x W in [0, 1], just as the student sees them.

        A picture of another size than a teacher's own is resized for it, and its logits back: what a network knows of
        scale belongs to the size that it was trained at.
        """
        answers: list[Tensor] = []
        features: tuple[Tensor, ...] = ()
        for number, network in enumerate(self.networks):
            network.to(image.device)
            seen = _as_seen(image, network)
            output = network.forward_with_features(seen)
            answers.append(_resized(output.logits, image.shape[-2:]))
            if self.mirrored:
                answers.append(_resized(network(seen.flip(-1)).flip(-1), image.shape[-2:]))
            if number == 0:
                features = output.features
        return Taught(mean_prediction(answers), features)


def load_teachers(
    files: Sequence[str], classes: int, *, mirrored: bool = False
) -> tuple[Teachers, list[dict[str, str]]]:
    """Teachers from files, and for the provenance the name and SHA-256 of each.

    Args:
        files: each a teacher's file, a float checkpoint of S2M-Net, or a bundled checkpoint's name.
        classes: of the network to be taught.

    Raises:
        CheckpointError: missing, truncated, quantized, or of other classes.
        MissingBackendError: the package of a teacher's encoder is not installed.
    """
    networks: list[TeachingNetwork] = []
    sources: list[dict[str, str]] = []
    for file in files:
        path = locate_checkpoint(file)
        if is_teacher(path):
            header, network = read_teacher_header(path), load_teacher(path)
        else:
            header, network = read_header(path), load_model(path)
            require_float(header)
        if header.config.classes != classes:
            raise CheckpointError(
                f"the teacher {path} has {header.config.classes} classes, its student {classes}",
                "Choose a teacher of the same classes.",
            )
        networks.append(network)
        sources.append({"file": Path(path).name, "sha256": header.sha256})
    return Teachers(networks, mirrored=mirrored), sources


def stage_channels(network: TeachingNetwork) -> tuple[int, ...]:
    """Channels of the encoder stages, whose strides are 2, 4, 8 and so on in every network here."""
    return network.stage_channels if isinstance(network, TeacherNetwork) else network.config.encoder_channels


def _as_seen(image: Tensor, network: TeachingNetwork) -> Tensor:
    """Pictures in the size and the channels that a teacher takes."""
    channels = network.config.in_channels if isinstance(network, S2MNet) else 3
    if image.shape[1] == 1 and channels == 3:
        image = image.expand(-1, 3, -1, -1)
    return _resized(image, torch.Size((network.config.size,) * 2)).contiguous(memory_format=torch.channels_last)


def _resized(x: Tensor, size: torch.Size) -> Tensor:
    """In float32: under autocast a network answers in bfloat16, which is coarse for a mean, and no CPU shrinks it."""
    x = x.float()
    if x.shape[-2:] == size:
        return x
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False, antialias=True)
