"""The best weights of a phase with everything that was done for them, as a checkpoint or a teacher's file."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict

import torch

from s2m_edge.checkpoint import CheckpointHeader, save_checkpoint
from s2m_edge.train.module import SegmentationModule
from s2m_edge.train.run import Run
from s2m_edge.train.start import own_network
from s2m_edge.train.teacher.file import TeacherHeader, save_teacher
from s2m_edge.train.teacher.network import TeacherNetwork

TEACHING_PLACES = ("files", "unlabelled")  # of this machine


def checkpoint_writer(
    run: Run, number: int, start: CheckpointHeader | TeacherHeader | None, teachers: list[dict[str, str]]
) -> Callable[[SegmentationModule, float, int], None]:
    """What writes the best checkpoint of phase `number`; see `KeepBest`.

    Args:
        start: of what the phase began with; None is random weights, or ImageNet's in a teacher's encoder.
        teachers: who teaches, file name and SHA-256 each.
    """
    recipe, phase = run.recipe, run.recipe.phases[number - 1]
    loss = recipe.loss_of(phase)
    history = [] if start is None else list(start.provenance.get("phases", ()))
    dataset = run.preset or run.data.resolve().name
    began = time.monotonic()

    def write(module: SegmentationModule, score: float, epoch: int) -> None:
        this_phase = {
            "size": phase.size,
            "epochs": epoch if recipe.epoch_parts == 1 else round(epoch / recipe.epoch_parts, 2),
            "seconds": round(time.monotonic() - began),
            "batch_size": phase.batch_size,
            "devices": module.trainer.world_size,
            "loss": loss,
            "optimizer": f"AdamW, warm-up and cosine, peak {phase.learning_rate}, weight averaging "
            f"{recipe.average_decay}",
            "augmentation": recipe.augmentation,
            "seed": recipe.seed,
            "dataset": dataset,
            "started_from": ("random weights" if recipe.network == "s2m-net" else "ImageNet")
            if start is None
            else "the phase before"
            if number > 1
            else start.path.name,
        }
        if recipe.taught is not None:
            settings = {key: value for key, value in asdict(recipe.taught).items() if key not in TEACHING_PLACES}
            this_phase["teacher"] = {**settings, "networks": teachers}
        on_gpu = module.device.type == "cuda"
        provenance = {
            "recipe": recipe.name,
            "domain": recipe.domain,
            "class_names": list(recipe.class_names),
            "fit": "window" if recipe.patches else "stretch",
            "intensity": recipe.intensity.to_dict(),
            "dataset": dataset,
            "split": "train",
            "loss": "MASL" if loss == "masl" else "Dice + cross-entropy",
            "device": torch.cuda.get_device_name(module.device) if on_gpu else "cpu",
            "precision": str(module.trainer.precision),
            "torch": torch.__version__,
            "validation_dice": round(score, 4),
            "phases": [*history, this_phase],
        }
        if isinstance(module.network, TeacherNetwork):
            save_teacher(run.best(number), module.network, {**provenance, "encoder_weights": "ImageNet"})
        else:
            save_checkpoint(run.best(number), own_network(module), provenance)

    return write
