"""The fake-quantized network in training: close to the float network, by a share, and right by its own loss."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from s2m_edge.network.fake_quantized import activation_quantizers
from s2m_edge.network.model import S2MNet
from s2m_edge.quantize.agreement import mean_dice
from s2m_edge.train.distillation.compare import divergence
from s2m_edge.train.distillation.module import TaughtModule
from s2m_edge.train.distillation.teachers import Teachers, TeachingNetwork
from s2m_edge.train.losses import labels_from_logits
from s2m_edge.train.recipe import Phase, Recipe

FEATURE_SHARE = 0.1
SCALE_RATE, ZERO_POINT_RATE = 100.0, 2000.0
"""Rates of log scales and of zero points (in levels) as multiples of that of the weights. Adam's steps are of the size
of the rate: at 1e-6 a scale moves by at most 0.01 % in a step."""


class DistillingModule(TaughtModule):
    """Fine-tunes weights and activation ranges of a fake-quantized network.

    Logs `val_divergence` (negative, so that higher is closer), the mean over validation images, and `val_worst_moved`,
    the Dice on the image that lost most against the float network.

    Args:
        network: fake-quantized and calibrated; its ranges become parameters.
        teacher: the float network; copied, and no part of the module's state.
        share: of the comparison with it in the loss, in [0, 1]; the rest is the recipe's own loss.
    """

    def __init__(self, recipe: Recipe, phase: Phase, network: S2MNet, teacher: S2MNet, share: float) -> None:
        for _, quantizer in activation_quantizers(network):
            quantizer.learn()
        for module in network.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0  # its noise would hide that of rounding
        super().__init__(recipe, phase, network, Teachers([teacher]), share, feature_factor=FEATURE_SHARE)
        self._divergences: list[Tensor] = []
        self._moved: list[float] = []

    def teacher(self) -> TeachingNetwork:
        """The float network, where this module is."""
        return self.teachers.networks[0].to(self.device)

    def validation_step(self, batch: dict[str, Any], index: int) -> None:
        logits, taught = (self.predict_logits(batch["image"], net) for net in (self.network, self.teacher()))
        self.score(logits, batch["mask"])
        self._divergences.append(divergence(logits, taught).detach())
        labels, expected = labels_from_logits(logits), labels_from_logits(taught)
        for found, reference, truth in zip(labels, expected, batch["mask"], strict=True):
            self._moved.append(mean_dice(found, truth) - mean_dice(reference, truth))

    def on_validation_epoch_end(self) -> None:
        super().on_validation_epoch_end()
        self.log("val_divergence", -torch.stack(self._divergences).mean())
        self.log("val_worst_moved", min(self._moved))
        self._divergences, self._moved = [], []

    def parameter_groups(self) -> list[dict[str, Any]]:
        learned = [quantizer.learned for _, quantizer in activation_quantizers(self.network)]
        scales = [entry.log_scale for entry in learned if entry is not None]
        points = [entry.zero_point for entry in learned if entry is not None]
        ranges = {id(parameter) for parameter in (*scales, *points)}
        groups = super().parameter_groups()
        for group in groups:
            group["params"] = [parameter for parameter in group["params"] if id(parameter) not in ranges]
        rate = self.phase.learning_rate
        groups += [
            {"params": scales, "weight_decay": 0.0, "lr": rate * SCALE_RATE},
            {"params": points, "weight_decay": 0.0, "lr": rate * ZERO_POINT_RATE},
        ]
        return [group for group in groups if group["params"]]
