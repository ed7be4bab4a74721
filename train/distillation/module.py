"""A network that learns from labels and from teachers at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from s2m_edge.network.model import S2MNet
from s2m_edge.train.data.items import LABELLED
from s2m_edge.train.distillation.compare import divergence, feature_error
from s2m_edge.train.distillation.mixing import mix_pictures
from s2m_edge.train.distillation.teachers import Teachers, load_teachers, stage_channels
from s2m_edge.train.module import SegmentationModule, channels_last
from s2m_edge.train.recipe import Phase, Recipe, Teaching

PROJECTION_RATE = 10.0
"""Learning rate of the projections as a multiple of the network's: they begin with nothing, and are a single layer."""


class MatchedStages(nn.Module):
    """The error of a student's encoder stages against a teacher's, after a 1 x 1 projection of each.

    The projections learn with the student and are thrown away with this module: what they can make of a stage is what
    the stage knows. Least squares between normalised features (Romero et al., "FitNets", ICLR 2015). Projections begin
    at zero, where the error is 1 and moves nothing in the student: it is pulled as far as they have found something.

    Args:
        own, taught: channels of the stages of student and teacher, shallowest first. Stages that only one of them has
            are compared with nothing.
    """

    def __init__(self, own: Sequence[int], taught: Sequence[int]) -> None:
        super().__init__()
        self.projections = nn.ModuleList(nn.Conv2d(a, b, 1, bias=False) for a, b in zip(own, taught, strict=False))
        for layer in self.projections:
            assert isinstance(layer, nn.Conv2d)
            nn.init.zeros_(layer.weight)

    def forward(self, found: Sequence[Tensor], taught: Sequence[Tensor]) -> Tensor:
        """A scalar, 1 where nothing was learned; stages B x C x h x w, of any sizes."""
        projected = [layer(_normalised(x)) for layer, x in zip(self.projections, found, strict=True)]
        expected = [_normalised(F.adaptive_avg_pool2d(x, y.shape[-2:])) for x, y in zip(taught, projected, strict=True)]
        return feature_error(projected, expected)


class TaughtModule(SegmentationModule):
    """Trains a network on labels and on what teachers answer to the same pictures.

    The loss is (1 - share) x the recipe's own on labels + share x (divergence from the teachers + feature_factor x
    error of the features). Pictures without labels (`LABELLED` in the batch) have the second part alone.

    Args:
        teachers: no part of the module's state.
        share: of the teachers in the loss, in [0, 1].
        feature_factor: 0 compares no features.
        stages: what compares features; None compares those of every block as they are, for a teacher of the same
            layout.
        mixed: probability that a batch is mixed; see `mix_pictures`.
    """

    def __init__(
        self,
        recipe: Recipe,
        phase: Phase,
        network: nn.Module | None,
        teachers: Teachers,
        share: float,
        *,
        feature_factor: float = 0.0,
        stages: MatchedStages | None = None,
        mixed: float = 0.0,
    ) -> None:
        super().__init__(recipe, phase, network)
        self.teachers, self.share, self.feature_factor, self.mixed = teachers, share, feature_factor, mixed
        self.stages = stages

    def training_loss(self, batch: dict[str, Any]) -> Tensor:
        image, mask, labelled = batch["image"], batch["mask"], batch.get(LABELLED)
        if self.mixed and float(torch.rand(())) < self.mixed:
            image, mask, labelled = mix_pictures(image, mask, labelled)
        image = channels_last(image)
        assert isinstance(self.network, S2MNet)
        found = self.network.forward_with_features(image)
        loss = torch.zeros((), device=image.device)
        if self.share < 1 and (labelled is None or bool(labelled.any())):
            known = slice(None) if labelled is None else labelled
            loss = loss + (1.0 - self.share) * self.loss(found.logits[known], mask[known])
        if self.share:
            taught = self.teachers.teach(image)
            compared = divergence(found.logits.float(), taught.logits.float())
            if self.feature_factor:
                compared = compared + self.feature_factor * self._feature_error(found.features, taught.features)
            loss = loss + self.share * compared
        return loss

    def _feature_error(self, found: tuple[Tensor, ...], taught: tuple[Tensor, ...]) -> Tensor:
        if self.stages is None:
            return feature_error(found, taught)
        compared = len(self.stages.projections)
        return self.stages(found[:compared], taught[:compared])

    def loss_figures(self) -> dict[str, float]:
        return super().loss_figures() if self.share < 1 else {}

    def parameter_groups(self) -> list[dict[str, Any]]:
        groups = super().parameter_groups()
        if self.stages is not None:
            rate = PROJECTION_RATE * self.phase.learning_rate
            groups.append({"params": list(self.stages.parameters()), "weight_decay": 0.0, "lr": rate})
        return groups


def taught_module(recipe: Recipe, phase: Phase, teaching: Teaching) -> tuple[TaughtModule, list[dict[str, str]]]:
    """The module of a recipe with teachers, and for the provenance who they are.

    Raises:
        CheckpointError, MissingBackendError: as `load_teachers`.
    """
    teachers, sources = load_teachers(teaching.files, recipe.classes, mirrored=teaching.mirrored)
    module = TaughtModule(
        recipe,
        phase,
        None,
        teachers,
        teaching.share,
        feature_factor=teaching.features,
        mixed=teaching.mixed,
    )
    if teaching.features:
        assert isinstance(module.network, S2MNet)
        own = stage_channels(module.network)
        module.stages = MatchedStages(own, stage_channels(teachers.networks[0]))
    return module, sources


def _normalised(x: Tensor) -> Tensor:
    """Every channel with mean 0 and variance 1 over batch and positions."""
    mean, variance = x.mean(dim=(0, 2, 3), keepdim=True), x.var(dim=(0, 2, 3), keepdim=True)
    return (x - mean) / (variance + 1e-6).sqrt()
