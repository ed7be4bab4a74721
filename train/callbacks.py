"""What happens around the epochs: seeds, the best checkpoint, the state to resume from, a sheet of pictures."""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, WeightAveraging
from torch import Tensor

from s2m_edge.files import output_error

SEED_STRIDE = 1_000_003


def epoch_seed(seed: int, epoch: int, rank: int = 0) -> int:
    """One seed per epoch and process, so that an epoch draws the same numbers whether or not the run was resumed."""
    return (seed + epoch * SEED_STRIDE + rank * 7919) % 2**31


class SeedEachEpoch(Callback):
    """Dropout, and whatever else draws from the global generators, starts every epoch from its own seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        seed = epoch_seed(self.seed, trainer.current_epoch, trainer.global_rank)
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)


def average_with_warm_up(decay: float) -> Callable[[Tensor, Tensor, int | Tensor], Tensor]:
    """An exponential moving average whose decay rises to `decay`: (1 + n) / (10 + n) after n steps.

    At the full decay from the start, the average of a short run would still hold its random first weights.
    """

    def average(averaged: Tensor, current: Tensor, steps: int | Tensor) -> Tensor:
        share = min(decay, (1.0 + float(steps)) / (10.0 + float(steps)))
        return share * averaged + (1.0 - share) * current

    return average


class AverageWeights(WeightAveraging):
    """Weights and BatchNorm statistics averaged over the steps; what is validated and kept.

    Lightning's own callback takes the average away when the validation's last batch is done, before
    `on_validation_end`, where checkpoints are written: they would hold other weights than those that were validated.
    Here it stays until the callbacks before this one in the list have had their turn, so put those that keep or show
    the network first.

    Args:
        decay: in (0, 1); see `average_with_warm_up`.
    """

    def __init__(self, decay: float) -> None:
        super().__init__(use_buffers=True, avg_fn=average_with_warm_up(decay))

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The average stays for now."""

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_validation_epoch_end(trainer, pl_module)


class KeepBest(Callback):
    """Writes the checkpoint whenever a validation figure of the (averaged) weights is the highest of the phase.

    Args:
        write: of the module, the figure and the number of the epoch.
        figure: the name that it is logged by.
    """

    def __init__(self, write: Callable[[Any, float, int], None], figure: str = "val_dice") -> None:
        self.write, self.figure, self.best, self.epoch = write, figure, -math.inf, 0

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        score = float(trainer.callback_metrics[self.figure])
        if not trainer.sanity_checking and score > self.best:
            self.best, self.epoch = score, trainer.current_epoch + 1
            if trainer.is_global_zero:
                self.write(pl_module, score, self.epoch)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "epoch": self.epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best, self.epoch = float(state_dict["best"]), int(state_dict["epoch"])


class KeepState(Callback):
    """The whole state of the run after every epoch, beside first and then renamed: what `--resume` goes on from.

    Args:
        then: called in every process when the state is in its place.
    """

    def __init__(self, path: Path, then: Callable[[], None] | None = None) -> None:
        self.path, self.then = path, then

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        temporary = self.path.with_suffix(".partial")
        try:
            trainer.save_checkpoint(temporary)  # every process takes part; one writes
            if trainer.is_global_zero:
                temporary.replace(self.path)
        except OSError as error:
            raise output_error(self.path, error) from None
        finally:
            if trainer.is_global_zero:
                temporary.unlink(missing_ok=True)
        if self.then is not None:
            self.then()


class ShowProgress(Callback):
    """A bar with an estimate over all batches of the phase, and a line per epoch that stays. All on stderr."""

    def __init__(self) -> None:
        self.bar: Any = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        from s2m_edge.console import status

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self.bar = Progress(*columns, console=status, transient=True)
        self.task = self.bar.add_task("training", total=int(trainer.estimated_stepping_batches))
        self.bar.start()

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if self.bar is not None:
            epoch = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
            self.bar.update(self.task, completed=trainer.global_step, description=epoch)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.bar is not None:
            self.bar.update(self.task, description=f"epoch {trainer.current_epoch + 1}, validation")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.bar is None:
            return
        found = {key: float(value) for key, value in trainer.callback_metrics.items()}
        weights = ", ".join(
            f"{key.removeprefix('masl_weight/')} {value:.2f}" for key, value in found.items() if "masl_weight" in key
        )
        distance = f", divergence {-found['val_divergence']:.2e}" if "val_divergence" in found else ""
        print(
            f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}: loss {found.get('train_loss_epoch', 0):.4f}, "
            f"validation Dice {found.get('val_dice', 0):.4f}{distance}{f'; weights {weights}' if weights else ''}",
            file=sys.stderr,
        )

    def _stop(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._stop()


class PictureSheets(Callback):
    """Every few epochs, a PNG of the first validation pictures: image, truth, prediction, boundary map.

    Args:
        folder: receives epoch-0005.png and so on.
        items: up to four items of the validation set, {"image": C x H x W in [0, 1], "mask": 1 x H x W}.
        every: epochs between two sheets; the last epoch always has one.
    """

    def __init__(self, folder: Path, items: Callable[[], list[dict[str, Any]]], every: int) -> None:
        self.folder, self.items, self.every = folder, items, every

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        epoch = trainer.current_epoch + 1
        wanted = epoch % self.every == 0 or epoch == trainer.max_epochs
        if trainer.sanity_checking or not trainer.is_global_zero or not wanted:
            return
        from s2m_edge.train.sheet import draw_sheet

        picture = draw_sheet(pl_module.network, self.items(), f"epoch {epoch}")  # type: ignore[arg-type]
        self.folder.mkdir(parents=True, exist_ok=True)
        picture.save(self.folder / f"epoch-{epoch:04d}.png")
        board = getattr(trainer.logger, "experiment", None)
        if board is not None and hasattr(board, "add_image"):
            board.add_image("validation", np.asarray(picture), epoch, dataformats="HWC")
