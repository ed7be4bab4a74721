"""Training by a recipe: phases of rising resolution, each starting from the one before; resumable after every epoch.

The network is fully convolutional but for its spectral filters, which are resampled over frequency between phases; on
a CPU most epochs are therefore spent at low resolution, where they are cheap.
"""

from __future__ import annotations

import json
import logging
import signal
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer, seed_everything
from lightning.pytorch.callbacks import Callback, EarlyStopping, Timer
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from s2m_edge.errors import CheckpointError, ConfigurationError, NativeBuildError
from s2m_edge.files import write_json
from s2m_edge.imaging.folders import list_images
from s2m_edge.network.spectral.compiled import trace_through
from s2m_edge.processor import BFLOAT16_FEATURES, features_known, processor_features
from s2m_edge.train import kernels
from s2m_edge.train.allocator import keep_freed_memory
from s2m_edge.train.callbacks import AverageWeights, KeepBest, KeepState, PictureSheets, SeedEachEpoch, ShowProgress
from s2m_edge.train.data.augment import find_augmentation
from s2m_edge.train.data.layouts import load_training_data
from s2m_edge.train.data.module import ImageFolderData
from s2m_edge.train.data.sample import parse_labelling
from s2m_edge.train.distillation.module import taught_module
from s2m_edge.train.module import SegmentationModule
from s2m_edge.train.provenance import checkpoint_writer
from s2m_edge.train.recipe import Phase, Recipe
from s2m_edge.train.run import Run
from s2m_edge.train.start import start_from

SHEET_PICTURES = 4
BFLOAT16, FLOAT32 = "bf16-mixed", "32-true"
"""Lightning's names."""


@dataclass(frozen=True)
class Machine:
    """Where and how to compute; no part of the recipe.

    Attributes:
        accelerator, devices, strategy, nodes: Lightning's.
        precision: Lightning's, for a run that begins; None is bfloat16 mixed on a GPU and float32 elsewhere.
        workers: processes that read and augment.
        compile_network: torch.compile, for a run that begins.
        time_limit: after which a phase ends, with its best checkpoint.
        sheet_every: epochs between two sheets of pictures.
    """

    accelerator: str = "auto"
    devices: str = "auto"
    strategy: str = "auto"
    nodes: int = 1
    precision: str | None = None
    workers: int = 0
    compile_network: bool = False
    time_limit: timedelta | None = None
    sheet_every: int = 5


def is_main_process() -> bool:
    """True in the one process that writes, also where a launcher started several."""
    from lightning.fabric.utilities.rank_zero import rank_zero_only

    return int(getattr(rank_zero_only, "rank", 0) or 0) == 0


def require_possible(run: Run, machine: Machine) -> str:
    """Refuse now, before a folder is made, what training would refuse later: data, start, augmentation, machine.

    Returns:
        Remarks for the user, a line each, or an empty text.

    Raises:
        ImageError, CheckpointError, ConfigurationError: which of them does not fit.
    """
    remark = load_training_data(run.data, run.preset, parse_labelling(run.labels))[2]
    find_augmentation(run.recipe.augmentation)
    if run.start is not None:
        start_from(SegmentationModule(run.recipe, run.recipe.phases[0]), run.start)
    if run.recipe.taught is not None:
        recipe_module(run.recipe, run.recipe.phases[0])
        if (pictures := unlabelled_folder(run.recipe)) is not None:
            list_images(pictures)
    quiet_lightning()
    try:
        Trainer(**trainer_options(machine), logger=False, enable_checkpointing=False, enable_progress_bar=False)
    except (MisconfigurationException, ValueError, TypeError, RuntimeError, ImportError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ConfigurationError(
            f"this machine cannot train so ({reason.rstrip('.')})",
            "Change --accelerator, --devices, --strategy, --nodes or --precision; auto takes what is there.",
        ) from None
    return "\n".join(
        filter(None, (remark, *(() if _on_gpu(machine) else (kernels.lacking(), precision_remark(machine)))))
    )


def recipe_module(recipe: Recipe, phase: Phase) -> tuple[SegmentationModule, list[dict[str, str]]]:
    """What trains a recipe, and for the provenance who teaches it: file name and SHA-256 each.

    Raises:
        CheckpointError, ConfigurationError, MissingBackendError: a teacher does not fit, or its package is missing.
    """
    if recipe.taught is None:
        return SegmentationModule(recipe, phase), []
    if recipe.network != "s2m-net":
        raise ConfigurationError(
            f"the recipe {recipe.name} trains {recipe.network}, which is a teacher itself",
            "Leave its teacher out, or set its network to s2m-net.",
        )
    return taught_module(recipe, phase, recipe.taught)


def unlabelled_folder(recipe: Recipe) -> Path | None:
    """Where a recipe's pictures without masks lie; None without a teacher, who alone could label them."""
    named = recipe.taught.unlabelled if recipe.taught is not None else None
    return None if named is None else Path(named)


def trainer_options(machine: Machine) -> dict[str, Any]:
    """Lightning's options for where and how to compute."""
    return {
        "accelerator": machine.accelerator,
        "devices": int(machine.devices) if machine.devices.isdigit() else machine.devices,
        "num_nodes": machine.nodes,
        "strategy": machine.strategy,
        "precision": chosen_precision(machine),
    }


def chosen_precision(machine: Machine) -> str:
    """Lightning's name of the precision that a run begins in here."""
    return machine.precision or (BFLOAT16 if _on_gpu(machine) else FLOAT32)


def precision_remark(machine: Machine) -> str:
    """What a user should know of precisions before training on this CPU (figures: docs/speed.md), or nothing."""
    if not features_known():
        return ""
    has_bfloat16 = bool(processor_features() & BFLOAT16_FEATURES)
    if machine.precision is None and has_bfloat16:
        return (
            f"this processor has bfloat16 instructions: --precision {BFLOAT16} takes less time (half, with AVX512-BF16)"
        )
    if machine.precision == BFLOAT16 and not has_bfloat16:
        return f"this processor has no bfloat16 instructions: {BFLOAT16} takes more time (twice, with AVX-512)"
    return ""


def train_run(run: Run, machine: Machine, after_epoch: Callable[[], None] | None = None) -> float:
    """Train every phase that has not ended yet, from where it was left, in the precision that the run began in, and
    under torch.compile where it began so.

    Args:
        after_epoch: called when the state after an epoch is kept; what it raises ends the run there, to be resumed.

    Returns:
        The best validation Dice of the last phase, in [0, 1].

    Raises:
        TrainingError: the loss is no number any more.
        ImageError, OutputError, CheckpointError: the data, the place, or the checkpoint to start from.
    """
    best = 0.0
    compiled = machine.compile_network if run.compiled is None else run.compiled
    machine = replace(machine, precision=run.precision or machine.precision, compile_network=compiled)
    for number in range(1, len(run.recipe.phases) + 1):
        if run.result(number).is_file():
            best = _result(run.result(number))
            continue
        best = _train_phase(run, machine, number, after_epoch)
    return best


def _result(path: Path) -> float:
    """The best validation Dice of a phase that has ended."""
    try:
        return float(json.loads(path.read_text(encoding="utf-8"))["validation_dice"])
    except (OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path} is damaged ({error})", "Delete it to end this phase again.") from None


def _train_phase(run: Run, machine: Machine, number: int, after_epoch: Callable[[], None] | None) -> float:
    recipe, phase = run.recipe, run.recipe.phases[number - 1]
    quiet_lightning()
    seed_everything(recipe.seed, verbose=False)
    keep_freed_memory()
    module, teachers = recipe_module(recipe, phase)
    start = run.best(number - 1) if number > 1 else run.start
    header = start_from(module, start)
    if machine.compile_network:
        if _on_gpu(machine):
            trace_through()
        module.network.compile()
    data = ImageFolderData(
        run.data,
        phase.size,
        recipe.in_channels,
        phase.batch_size,
        recipe.seed,
        classes=recipe.classes,
        preset=run.preset,
        augmentation=recipe.augmentation,
        patches=recipe.patches,
        intensity=recipe.intensity,
        workers=machine.workers,
        unlabelled=unlabelled_folder(recipe),
        epoch_parts=recipe.epoch_parts,
        labelling=parse_labelling(run.labels),
    )
    keeper = KeepBest(checkpoint_writer(run, number, header, teachers))
    callbacks: list[Callback] = [
        SeedEachEpoch(recipe.seed),
        keeper,
        EarlyStopping("val_dice", mode="max", patience=recipe.early_stopping, check_finite=False),
        PictureSheets(
            run.phase_folder(number) / "pictures", lambda: data.validation_items(SHEET_PICTURES), machine.sheet_every
        ),
        ShowProgress(),
    ]
    if recipe.average_decay > 0:
        callbacks.append(AverageWeights(recipe.average_decay))  # after all that keeps or shows the network
    if machine.time_limit is not None:
        callbacks.append(Timer(duration=machine.time_limit, interval="epoch", verbose=False))
    callbacks.append(KeepState(run.state(number), after_epoch))
    trainer = Trainer(
        max_epochs=phase.epochs,
        **trainer_options(machine),
        gradient_clip_val=recipe.gradient_clip,
        logger=TensorBoardLogger(run.folder, name="", version=f"phase-{number}", sub_dir="log"),
        callbacks=callbacks,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=10,
        num_sanity_val_steps=0,
        # A new loader for every epoch draws that epoch's order and augmentation from that epoch's seed.
        reload_dataloaders_every_n_epochs=1,
    )
    state = run.state(number) if run.state(number).is_file() else None
    run_trainer(trainer, module, data, state)
    if trainer.is_global_zero:
        write_json(run.result(number), {"validation_dice": round(keeper.best, 6), "best_epoch": keeper.epoch})
    trainer.strategy.barrier()
    return keeper.best


def run_trainer(trainer: Trainer, module: SegmentationModule, data: ImageFolderData, state: Path | None) -> None:
    """Lightning's fit, from whose way of ending at Ctrl-C or SIGTERM (SystemExit, signals ignored) we come back."""
    if state is not None:
        _require_state(state)
    if trainer.strategy.root_device.type == "cpu":
        with suppress(NativeBuildError):  # `require_possible` has said what that costs
            kernels.enable()
    before = signal.getsignal(signal.SIGINT)
    try:
        # The state is a file of this run, yet it is unpickled no further than tensors and plain values.
        trainer.fit(module, data, ckpt_path=state, weights_only=True)
    except SystemExit:
        if trainer.interrupted:
            raise KeyboardInterrupt from None
        raise
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before)
    if trainer.interrupted:
        raise KeyboardInterrupt


def _require_state(state: Path) -> None:
    try:
        torch.load(state, map_location="cpu", weights_only=True)
    except Exception as error:  # a truncated file fails in many ways; all mean the same
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(
            f"{state} cannot be resumed from ({reason})", f"Delete it to start this phase again: {state.name}."
        ) from None


def _on_gpu(machine: Machine) -> bool:
    return torch.cuda.is_available() and machine.accelerator in ("auto", "gpu", "cuda")


def quiet_lightning() -> None:
    """Lightning's advice is for its own users; what a user of a recipe has to know is said by the callbacks."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    logging.getLogger("lightning.fabric").setLevel(logging.ERROR)
    for words in (
        ".*isinstance.treespec.*",
        ".*does not have many workers.*",
        ".*lr_scheduler.step.*",
        ".*Checkpoint d",
    ):
        warnings.filterwarnings("ignore", message=words)
