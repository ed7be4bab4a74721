"""A first training run: phases of rising resolution, each starting from the one before.

The network is fully convolutional but for its spectral filters, which are resampled over frequency between phases; on
a CPU most epochs are therefore spent at low resolution, where they are cheap.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer, seed_everything
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging, Timer, TQDMProgressBar

from s2m_edge.checkpoint import load_model, read_header, save_checkpoint
from s2m_edge.config import S2MNetConfig
from s2m_edge.train.allocator import keep_freed_memory
from s2m_edge.train.data.module import ImageFolderData
from s2m_edge.train.module import SegmentationModule


@dataclass(frozen=True)
class Phase:
    """Epochs at one resolution. `size` in pixels; `learning_rate` is the peak of a one-cycle schedule."""

    size: int
    epochs: int
    batch_size: int
    learning_rate: float


class _KeepBest(Callback):
    """Writes the checkpoint whenever the validation Dice of the (averaged) weights is the best of the phase."""

    def __init__(self, write: Callable[[SegmentationModule, float, int], None]) -> None:
        self.write, self.best = write, -1.0

    def on_validation_end(self, trainer: Trainer, pl_module: Any) -> None:
        score = float(trainer.callback_metrics["val_dice"])
        if not trainer.sanity_checking and score > self.best:
            self.best = score
            self.write(pl_module, score, trainer.current_epoch + 1)


def train_phase(
    phase: Phase,
    *,
    data: Path,
    out: Path,
    start: Path | None,
    base: S2MNetConfig,
    seed: int,
    log_folder: Path,
    average_decay: float,
    time_limit: str | None,
) -> float:
    """Train one phase and write its best checkpoint to `out`.

    Args:
        start: checkpoint to start from (resampled to the phase's size), or None for random weights.
        base: layout of a network started from random weights.
        average_decay: decay per step of the exponential moving average of the weights that is validated and kept.
        time_limit: "DD:HH:MM:SS" after which the phase stops, or None.

    Returns:
        The best validation Dice, in [0, 1].
    """
    seed_everything(seed, verbose=False)
    keep_freed_memory()
    model = SegmentationModule(S2MNetConfig.from_dict({**base.to_dict(), "size": phase.size}), phase.learning_rate)
    if start is not None:
        model.network.load_state_dict(load_model(start, size=phase.size).state_dict())
    inherited = read_header(start).provenance if start is not None else {}
    history = [*inherited.get("phases", ())]
    began = time.monotonic()

    def write(module: SegmentationModule, score: float, epoch: int) -> None:
        this_phase = {
            "size": phase.size,
            "epochs": epoch,
            "seconds": round(time.monotonic() - began),
            "batch_size": phase.batch_size,
            "optimizer": f"AdamW, one cycle, peak {phase.learning_rate}, weight averaging {average_decay}",
            "seed": seed,
            "started_from": "the phase before" if history else start.name if start else "random weights",
        }
        provenance = {
            **{key: inherited[key] for key in ("domain", "class_names") if key in inherited},
            "dataset": data.name,
            "split": "train",
            "loss": "Dice + binary cross-entropy",
            "device": str(module.device.type),
            "torch": torch.__version__,
            "validation_dice": round(score, 4),
            "phases": [*history, this_phase],
        }
        save_checkpoint(out, module.network, provenance)

    keeper = _KeepBest(write)
    average = EMAWeightAveraging(decay=average_decay, use_buffers=True)
    callbacks: list[Callback] = [average, keeper, TQDMProgressBar(refresh_rate=5)]
    if time_limit:
        callbacks.append(Timer(duration=time_limit, interval="epoch"))
    trainer = Trainer(
        max_epochs=phase.epochs,
        precision="bf16-mixed" if torch.cuda.is_available() else "32-true",
        gradient_clip_val=1.0,
        default_root_dir=log_folder,
        callbacks=callbacks,
        enable_checkpointing=False,
        enable_model_summary=False,
        log_every_n_steps=10,
        num_sanity_val_steps=0,
    )
    channels = base.in_channels
    trainer.fit(model, ImageFolderData(data, phase.size, channels, phase.batch_size, seed))
    return keeper.best
