"""Fine-tuning with fake quantization: weights learn to live with being rounded, and activation ranges are learned."""

from __future__ import annotations

import copy
import json
import math
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lightning import Trainer, seed_everything
from lightning.pytorch.callbacks import Callback
from torch import nn

from s2m_edge.checkpoint import load_model, read_header, save_quantized_checkpoint
from s2m_edge.errors import ConfigurationError
from s2m_edge.files import require_writable, write_json
from s2m_edge.network.fake_quantized import QuantizationConfig, activation_quantizers, quantized_network
from s2m_edge.network.model import S2MNet
from s2m_edge.quantize.distillation import DistillingModule
from s2m_edge.text_files import read_text
from s2m_edge.train.allocator import keep_freed_memory
from s2m_edge.train.callbacks import KeepBest, KeepState, SeedEachEpoch, ShowProgress
from s2m_edge.train.data.module import ImageFolderData
from s2m_edge.train.data.sample import parse_labelling
from s2m_edge.train.fit import Machine, quiet_lightning, run_trainer, trainer_options
from s2m_edge.train.recipe import Phase, Recipe

RUN_FILE = "quantize.json"
START_FILE = "start.safetensors"
BEST_FILE = "best.safetensors"
BEFORE_FILE, FIGURES_FILE = "before.json", "best.json"
STATE_FILE = "last.ckpt"
PLACES = ("checkpoint", "data")  # of this machine; what they hold is in the provenance by name and hash


@dataclass(frozen=True)
class FineTuning:
    """What fine-tuning is started with; written down in its folder, so that it can be resumed.

    Attributes:
        checkpoint: the float one.
        data, preset: as everywhere.
        steps: optimizer steps in all.
        every: steps between two validations, after each of which the best network and the state are kept.
        batch_size: pictures per step.
        learning_rate: the peak; see `SegmentationModule.configure_optimizers`.
        distillation: share of the loss that compares with the float network, in [0, 1]; the rest is the recipe's own.
        loss: "masl" or "dice_ce".
        validation_images: at most so many are validated on, None for all.
        seed: of order, augmentation and dropout.
        labels: what the masks hold, as `parse_labelling` reads it; None for plain labels.
    """

    checkpoint: str
    data: str
    preset: str | None = None
    steps: int = 200
    every: int = 50
    batch_size: int = 2
    learning_rate: float = 1e-6
    distillation: float = 1.0
    loss: str = "dice_ce"
    validation_images: int | None = None
    seed: int = 42
    labels: str | None = None

    def __post_init__(self) -> None:
        for name in ("steps", "every", "batch_size"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{name} is {getattr(self, name)}", "It must be at least 1.")
        if not 0 < self.learning_rate < math.inf:
            raise ConfigurationError(f"the learning rate is {self.learning_rate}", "It must be positive.")
        if not 0 <= self.distillation <= 1:
            raise ConfigurationError(f"the share of distillation is {self.distillation}", "It must lie in [0, 1].")


def begin(folder: Path, options: FineTuning) -> None:
    """Write down what is started; `folder` gets START_FILE from calibration.

    Raises:
        ConfigurationError: fine-tuning was begun there already.
        OutputError: the place cannot be written.
    """
    if (folder / RUN_FILE).exists():
        raise ConfigurationError(
            f"{folder} holds an unfinished fine-tuning", "Go on with it with --resume, or remove the folder."
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):  # all that is in it goes in the end
        raise ConfigurationError(
            f"{folder} is there, and is no fine-tuning", "Move it elsewhere, or choose another --out."
        )
    require_writable(folder)
    write_json(folder / RUN_FILE, asdict(options))


def read_options(folder: Path) -> FineTuning:
    """What the fine-tuning in a folder was started with.

    Raises:
        ConfigurationError: there is none, or its file is damaged.
    """
    path = folder / RUN_FILE
    if not path.is_file() or not (folder / START_FILE).is_file():
        raise ConfigurationError(f"{folder} holds no fine-tuning to resume", "Check --out, or leave --resume out.")
    try:
        values = json.loads(read_text(path))
        if not all(isinstance(values[name], str) for name in PLACES):
            raise TypeError(f"{' and '.join(PLACES)} are no paths")
        return FineTuning(**values)
    except (OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path} is damaged ({error})", "Remove the folder and start again.") from None


def finetune(folder: Path, options: FineTuning, recipe: Recipe, machine: Machine | None = None) -> dict[str, Any]:
    """Fine-tune the calibrated network in `folder`, from the start or from where it was left.

    Returns:
        Validation figures before and after, and the step that the best network came from. The best is the one closest
        to the float network, or without distillation that of the highest Dice. BEST_FILE holds it: the calibrated one
        where no step was better.

    Raises:
        TrainingError: the loss is no number any more.
        ImageError, OutputError, CheckpointError: the data, the place, or a damaged file in the folder.
    """
    machine = machine or Machine()
    quiet_lightning()
    seed_everything(options.seed, verbose=False)
    keep_freed_memory()
    header = read_header(folder / START_FILE)
    assert header.quantization is not None
    quantization = QuantizationConfig.from_dict(header.quantization)
    teacher = load_model(options.checkpoint)
    network = _start(teacher, load_model(folder / START_FILE), quantization)
    size, epochs = header.config.size, -(-options.steps // options.every)
    phase = Phase(size, epochs, options.batch_size, options.learning_rate)
    module = DistillingModule(recipe, phase, network, teacher, options.distillation).train()
    data = ImageFolderData(
        Path(options.data),
        size,
        header.config.in_channels,
        options.batch_size,
        options.seed,
        classes=header.config.classes,
        preset=options.preset,
        augmentation=recipe.augmentation,
        patches=recipe.patches,
        workers=machine.workers,
        labelling=parse_labelling(options.labels),
    )
    settings = {key: value for key, value in asdict(options).items() if key not in PLACES}

    def write(trained: DistillingModule, score: float, epoch: int) -> None:
        figures = {**_figures(trained.trainer.callback_metrics), "best_step": epoch * options.every}
        provenance = {**header.provenance, "method": "qat", "fine_tuning": {**settings, **figures}}
        save_quantized_checkpoint(folder / BEST_FILE, _settled(trained.network), quantization, provenance)
        write_json(folder / FIGURES_FILE, figures)

    keeper = KeepBest(write, "val_divergence" if options.distillation else "val_dice")
    callbacks: list[Callback] = [SeedEachEpoch(options.seed), keeper, ShowProgress(), KeepState(folder / STATE_FILE)]
    images = options.validation_images
    validated = 1.0 if images is None else -(-images // (1 if recipe.patches else options.batch_size))
    common: dict[str, Any] = {
        **trainer_options(machine),
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "limit_val_batches": validated,
    }
    state = folder / STATE_FILE
    if not state.is_file():
        before = Trainer(**common).validate(module, data, verbose=False)[0]
        write_json(folder / BEFORE_FILE, _figures(before))
        write_json(folder / FIGURES_FILE, {**_figures(before), "best_step": 0})
        shutil.copyfile(folder / START_FILE, folder / BEST_FILE)
        keeper.best = before[keeper.figure]
    trainer = Trainer(
        max_epochs=epochs,
        limit_train_batches=options.every,
        gradient_clip_val=recipe.gradient_clip,
        callbacks=callbacks,
        reload_dataloaders_every_n_epochs=1,
        **common,
    )
    run_trainer(trainer, module, data, state if state.is_file() else None)
    before, best = (json.loads((folder / name).read_text(encoding="utf-8")) for name in (BEFORE_FILE, FIGURES_FILE))
    return {**{f"{key}_calibrated": value for key, value in before.items()}, **best}


def _start(teacher: S2MNet, calibrated: S2MNet, quantization: QuantizationConfig) -> S2MNet:
    """The network to fine-tune: the float weights, not yet rounded for good, calibrated ranges, corrected biases."""
    network = quantized_network(teacher, quantization)
    found = calibrated.state_dict()
    kept = {
        name: value for name, value in network.state_dict().items() if name.endswith(".weight") or name not in found
    }
    network.load_state_dict({**found, **kept})
    return network.requires_grad_(True)


def _settled(network: nn.Module) -> S2MNet:
    """A copy whose learned ranges are taken over."""
    settled = copy.deepcopy(network).eval()
    for _, quantizer in activation_quantizers(settled):
        quantizer.settle()
    assert isinstance(settled, S2MNet)
    return settled


def _figures(found: Mapping[str, Any]) -> dict[str, float]:
    """What is written down of a validation."""
    return {
        "validation_dice": round(float(found["val_dice"]), 6),
        "validation_divergence": round(-float(found["val_divergence"]), 8),
        "validation_worst_moved": round(float(found["val_worst_moved"]), 6),
    }
