"""The LightningModule: S2M-Net with Dice + cross-entropy. MASL will take the loss's place."""

from __future__ import annotations

from typing import Any

import torch
from lightning import LightningModule
from monai.losses import DiceCELoss
from monai.metrics import DiceMetric
from torch import Tensor

from s2m_edge.config import S2MNetConfig
from s2m_edge.model import S2MNet


class SegmentationModule(LightningModule):
    """Trains a binary network on {"image", "mask"} batches; logs `val_dice`, the mean Dice per image."""

    def __init__(self, config: S2MNetConfig, peak_learning_rate: float, weight_decay: float = 1e-2) -> None:
        super().__init__()
        self.network = S2MNet(config).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.loss = DiceCELoss(sigmoid=True, batch=False)
        self.dice = DiceMetric(include_background=True, ignore_empty=False)
        self.peak_learning_rate, self.weight_decay = peak_learning_rate, weight_decay

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        image = batch["image"].contiguous(memory_format=torch.channels_last)
        loss = self.loss(self.network(image), batch["mask"])
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: dict[str, Tensor], index: int) -> None:
        image = batch["image"].contiguous(memory_format=torch.channels_last)
        self.dice((self.network(image) >= 0).float(), batch["mask"])

    def on_validation_epoch_end(self) -> None:
        score = self.dice.aggregate()
        self.dice.reset()
        assert isinstance(score, Tensor)
        self.log("val_dice", score.mean(), prog_bar=True)

    def configure_optimizers(self) -> Any:
        decayed = [p for p in self.network.parameters() if p.dim() > 1]
        plain = [p for p in self.network.parameters() if p.dim() <= 1]
        groups = [{"params": decayed, "weight_decay": self.weight_decay}, {"params": plain, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=self.peak_learning_rate)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            self.peak_learning_rate,
            total_steps=int(self.trainer.estimated_stepping_batches),
            pct_start=0.1,
            final_div_factor=100.0,
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
