"""The LightningModule: S2M-Net under a recipe's loss."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from lightning import LightningModule
from monai.inferers.inferer import SlidingWindowInferer
from monai.metrics import DiceMetric
from monai.networks.utils import one_hot
from torch import Tensor, nn

from s2m_edge.errors import ConfigurationError, TrainingError
from s2m_edge.network.config import S2MNetConfig
from s2m_edge.network.model import S2MNet
from s2m_edge.train.kernels import training_kernels
from s2m_edge.train.losses import labels_from_logits, make_loss
from s2m_edge.train.recipe import Phase, Recipe
from s2m_edge.train.teacher.config import TeacherConfig
from s2m_edge.train.teacher.network import TeacherNetwork, load_imagenet_weights

WINDOW_OVERLAP = 0.5


class SegmentationModule(LightningModule):
    """Trains a network on {"image", "mask", "stem"} batches; logs `val_dice`, the mean Dice per image.

    Args:
        recipe: loss, classes, optimizer.
        phase: size, epochs and learning rate.
        network: another network than the recipe's, with its input and output channels, for comparisons.

    Validation pictures that are larger than the network are predicted through a sliding window.
    """

    def __init__(self, recipe: Recipe, phase: Phase, network: nn.Module | None = None) -> None:
        super().__init__()
        self.recipe, self.phase = recipe, phase
        self.network = network if network is not None else build_network(recipe, phase.size)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.loss = make_loss(
            recipe.loss_of(phase),
            recipe.classes,
            learned_weights=recipe.loss_weight_rate > 0,
            structure=recipe.structure,
        )
        several = recipe.classes > 1
        # Several classes: a class that the picture lacks is left out of its mean. One class: two empty masks agree.
        self.dice = DiceMetric(include_background=not several, ignore_empty=several)
        self.windows = SlidingWindowInferer((phase.size, phase.size), overlap=WINDOW_OVERLAP, mode="gaussian")

    def training_step(self, batch: dict[str, Any], index: int) -> Tensor:
        with self.training_kernels():
            loss = self.training_loss(batch)
        if not torch.isfinite(loss):
            names = ", ".join(batch.get("stem", ())) or "unnamed"
            raise TrainingError(
                f"the loss is {float(loss.detach())} in epoch {self.current_epoch + 1}, batch {index + 1} ({names})",
                "The best checkpoint so far is kept. Look at these pictures, or lower --learning-rate.",
            )
        self.log("train_loss", loss, prog_bar=True, on_step=True, on_epoch=True, batch_size=len(batch["image"]))
        return loss

    def training_kernels(self) -> AbstractContextManager[Any]:
        """Within it a step runs with our kernels; what torch.compile traces has its own."""
        compiled = self.network._compiled_call_impl is not None
        return nullcontext() if compiled else training_kernels(self.network)

    def training_loss(self, batch: dict[str, Any]) -> Tensor:
        """What a step minimises on a batch, a scalar."""
        return self.loss(self.network(channels_last(batch["image"])), batch["mask"])

    def predict_logits(self, image: Tensor, network: nn.Module | None = None) -> Tensor:
        """Logits of whole pictures B x C x H x W of any size from the network's up; of its own network by default."""
        size, network = self.phase.size, network or self.network
        if tuple(image.shape[-2:]) == (size, size):
            return network(channels_last(image))
        return self.windows(image, network)  # type: ignore[return-value]

    def validation_step(self, batch: dict[str, Any], index: int) -> None:
        self.score(self.predict_logits(batch["image"]), batch["mask"])

    def score(self, logits: Tensor, truth: Tensor) -> None:
        """Take logits B x classes x H x W and labels B x 1 x H x W into the validation Dice."""
        labels = labels_from_logits(logits)
        if self.recipe.classes > 1:
            labels, truth = (one_hot(values, self.recipe.classes) for values in (labels, truth))
        self.dice(labels.float(), truth.float())

    def on_validation_epoch_end(self) -> None:
        score = self.dice.aggregate()
        self.dice.reset()
        assert isinstance(score, Tensor)
        # The metric has gathered every process's pictures already.
        self.log("val_dice", score.mean().to(self.device), prog_bar=True, rank_zero_only=False, sync_dist=False)
        # Here and not at the epoch's end, whose callbacks come before the module's own hook.
        for name, value in self.loss_figures().items():
            self.log(name, value)

    def loss_figures(self) -> dict[str, float]:
        """What of the loss is worth a line in the log, by name."""
        return self.loss.figures()

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Groups of parameters with their rates and decays, as an optimizer takes them; empty ones are left out."""
        rate, decay = self.phase.learning_rate, self.recipe.weight_decay
        knows = self.network.encoder if isinstance(self.network, TeacherNetwork) else None
        known = {id(parameter) for parameter in knows.parameters()} if knows is not None else set()
        groups: list[dict[str, Any]] = []
        for learned_before, factor in ((False, 1.0), (True, self.recipe.encoder_rate)):
            chosen = [p for p in self.network.parameters() if (id(p) in known) == learned_before]
            groups += [
                {"params": [p for p in chosen if p.dim() > 1], "weight_decay": decay, "lr": rate * factor},
                {"params": [p for p in chosen if p.dim() <= 1], "weight_decay": 0.0, "lr": rate * factor},
            ]
        of_loss = {"weight_decay": 0.0, "lr": rate * self.recipe.loss_weight_rate}
        groups.append({"params": list(self.loss.parameters()), **of_loss})
        return [group for group in groups if group["params"]]

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(self.parameter_groups(), lr=self.phase.learning_rate, betas=(0.9, 0.999))
        steps = max(2, int(self.trainer.estimated_stepping_batches))
        warm = max(1, min(steps // 10, self.recipe.warmup_epochs * steps // self.phase.epochs))
        last = self.recipe.final_learning_rate

        def share_of_peak(step: int) -> float:
            """Linear warm-up from a twentieth, then a cosine down to `last`."""
            if step < warm:
                return 0.05 + 0.95 * step / warm
            return last + (1.0 - last) * (1.0 + math.cos(math.pi * min(1.0, (step - warm) / (steps - warm)))) / 2.0

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, share_of_peak)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def build_network(recipe: Recipe, size: int) -> S2MNet | TeacherNetwork:
    """What a recipe trains: S2M-Net, or a teacher with ImageNet's weights in its encoder.

    Raises:
        ConfigurationError: a teacher of grey pictures.
        MissingBackendError: the packages of a teacher's encoder are not installed.
    """
    if recipe.network == "s2m-net":
        return recipe_network(recipe, size)
    if recipe.in_channels != 3:
        raise ConfigurationError(f"{recipe.network} has seen colours", "Set in_channels to 3: grey pictures have them.")
    teacher = TeacherNetwork(TeacherConfig(recipe.network, size, recipe.classes))
    load_imagenet_weights(teacher)
    return teacher


def recipe_network(recipe: Recipe, size: int) -> S2MNet:
    """The network that a recipe trains, with random weights."""
    config = S2MNetConfig.preset(recipe.layout, size=size, in_channels=recipe.in_channels, classes=recipe.classes)
    return S2MNet(config)


def channels_last(image: Tensor) -> Tensor:
    return image.contiguous(memory_format=torch.channels_last)
