"""Training by a recipe: phases of rising resolution, each starting from the one before; resumable after every epoch.

The network is fully convolutional but for its spectral filters, which are resampled over frequency between phases; on
a CPU most epochs are therefore spent at low resolution, where they are cheap.
"""

from __future__ import annotations

import json
import logging
import signal
import threading
import time
import warnings
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

from s2m_edge.checkpoint import CheckpointHeader, save_checkpoint
from s2m_edge.errors import CheckpointError, ConfigurationError, NativeBuildError
from s2m_edge.files import write_json
from s2m_edge.spectral.compiled import trace_through
from s2m_edge.train import depthwise
from s2m_edge.train.allocator import keep_freed_memory
from s2m_edge.train.callbacks import AverageWeights, KeepBest, KeepState, PictureSheets, SeedEachEpoch, ShowProgress
from s2m_edge.train.data.augment import find_augmentation
from s2m_edge.train.data.layouts import load_training_data
from s2m_edge.train.data.module import ImageFolderData
from s2m_edge.train.module import SegmentationModule
from s2m_edge.train.run import Run
from s2m_edge.train.start import own_network, start_from

SHEET_PICTURES = 4


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
    remark = load_training_data(run.data, run.preset)[2]
    find_augmentation(run.recipe.augmentation)
    if run.start is not None:
        start_from(SegmentationModule(run.recipe, run.recipe.phases[0]), run.start)
    quiet_lightning()
    try:
        Trainer(**trainer_options(machine), logger=False, enable_checkpointing=False, enable_progress_bar=False)
    except (MisconfigurationException, ValueError, TypeError, RuntimeError, ImportError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ConfigurationError(
            f"this machine cannot train so ({reason.rstrip('.')})",
            "Change --accelerator, --devices, --strategy, --nodes or --precision; auto takes what is there.",
        ) from None
    return "\n".join(filter(None, (remark, "" if _on_gpu(machine) else depthwise.lacking())))


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
    return machine.precision or ("bf16-mixed" if _on_gpu(machine) else "32-true")


def train_run(run: Run, machine: Machine) -> float:
    """Train every phase that has not ended yet, from where it was left, in the precision that the run began in, and
    under torch.compile where it began so.

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
            best = float(json.loads(run.result(number).read_text())["validation_dice"])
            continue
        best = _train_phase(run, machine, number)
    return best


def _train_phase(run: Run, machine: Machine, number: int) -> float:
    recipe, phase = run.recipe, run.recipe.phases[number - 1]
    quiet_lightning()
    seed_everything(recipe.seed, verbose=False)
    keep_freed_memory()
    module = SegmentationModule(recipe, phase)
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
        workers=machine.workers,
    )
    keeper = KeepBest(_checkpoint_writer(run, number, header))
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
    callbacks.append(KeepState(run.state(number)))
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
            depthwise.enable()
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


def _checkpoint_writer(run: Run, number: int, start: CheckpointHeader | None) -> Any:
    recipe, phase = run.recipe, run.recipe.phases[number - 1]
    loss = recipe.loss_of(phase)
    history = [] if start is None else list(start.provenance.get("phases", ()))
    dataset = run.preset or run.data.resolve().name
    began = time.monotonic()

    def write(module: SegmentationModule, score: float, epoch: int) -> None:
        this_phase = {
            "size": phase.size,
            "epochs": epoch,
            "seconds": round(time.monotonic() - began),
            "batch_size": phase.batch_size,
            "devices": module.trainer.world_size,
            "loss": loss,
            "optimizer": f"AdamW, warm-up and cosine, peak {phase.learning_rate}, weight averaging "
            f"{recipe.average_decay}",
            "augmentation": recipe.augmentation,
            "seed": recipe.seed,
            "dataset": dataset,
            "started_from": "random weights"
            if start is None
            else "the phase before"
            if number > 1
            else start.path.name,
        }
        on_gpu = module.device.type == "cuda"
        provenance = {
            "recipe": recipe.name,
            "domain": recipe.domain,
            "class_names": list(recipe.class_names),
            "dataset": dataset,
            "split": "train",
            "loss": "MASL" if loss == "masl" else "Dice + cross-entropy",
            "device": torch.cuda.get_device_name(module.device) if on_gpu else "cpu",
            "precision": str(module.trainer.precision),
            "torch": torch.__version__,
            "validation_dice": round(score, 4),
            "phases": [*history, this_phase],
        }
        save_checkpoint(run.best(number), own_network(module), provenance)

    return write


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
