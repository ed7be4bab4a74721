"""Teacher, then student: planned by a measured epoch, kept in parts, gone on with in the next call."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from s2m_edge import interrupts
from s2m_edge.devices import usable_cores
from s2m_edge.train.fit import Machine, chosen_precision, require_possible, train_run
from s2m_edge.train.gpu_day.ledger import Ledger
from s2m_edge.train.gpu_day.parts import pack, unpack
from s2m_edge.train.gpu_day.plan import Plan
from s2m_edge.train.recipe import Phase, Recipe, read_recipe, with_teachers
from s2m_edge.train.run import RUN_FILE, Run, begin_run, open_run

FILES = (RUN_FILE, "phase-1/best.safetensors", "phase-1/last.ckpt", "phase-1/result.json")
MARGIN = 1.5
"""Epochs' worth of time that has to be left for another epoch to begin."""


class TimeIsUpError(Exception):
    """This call, or the day, ends before another epoch would."""


class Interrupted(KeyboardInterrupt):
    """A signal came, and everything is kept; `code` is what the process returns."""

    def __init__(self, code: int) -> None:
        super().__init__()
        self.code = code


def machine_of(plan: Plan, device: str) -> Machine:
    workers = min(plan.workers, usable_cores())
    return Machine("gpu" if device == "cuda" else "cpu", "1", workers=workers)


def teacher_recipe(plan: Plan) -> Recipe:
    """teacher-polyp at the student's size; a GPU needs no phase of lower resolution first."""
    recipe = read_recipe("teacher-polyp")
    phase = Phase(plan.size, plan.teacher_epochs, plan.batch, recipe.phases[0].learning_rate)
    return replace(recipe, network=plan.encoder, phases=(phase,))  # type: ignore[arg-type]


def student_recipe(plan: Plan, teacher: Path) -> Recipe:
    """polyp-taught, for as many epochs as there is time for."""
    recipe = read_recipe("polyp-taught")
    phase = replace(recipe.phases[-1], size=plan.size, epochs=plan.student_epochs, batch_size=plan.batch)
    return with_teachers(replace(recipe, epoch_parts=1, phases=(phase,)), [str(teacher)], None)


def train(name: str, recipe: Recipe, start: Path | None, share: float, data: Path, plan: Plan, ledger: Ledger) -> dict:
    """Train, or go on, until the run has ended or this call has to; the best weights and the state stay in parts.

    Args:
        recipe: its epochs are the most that are planned; a measured epoch says how many fit.
        share: of the day's time that is left now.

    Raises:
        TimeIsUpError: the run goes on in the next call.
        Interrupted: a signal came.
        S2MEdgeError: the data, the recipe or the machine does not do.
    """
    kept = ledger.folder / "training" / name
    machine = machine_of(plan, ledger.kind["device"])
    with tempfile.TemporaryDirectory(prefix="s2m-edge-day-") as scratch:
        folder = Path(scratch) / name
        if unpack(kept, folder):
            # Folders may lie elsewhere than in the call before.
            run = open_run(folder)
            here = replace(run.recipe, teacher=recipe.teacher)
            run = replace(run, recipe=here, data=data, start=start)
        else:
            planned = _fitting(recipe, start, share, data, machine, ledger, Path(scratch))
            run = Run(folder, planned, data, None, start, chosen_precision(machine), False)
            begin_run(run)
        try:
            best = train_run(run, machine, _keeper(run, kept, plan, ledger))
        except KeyboardInterrupt:
            code = interrupts.exit_code()
            interrupts.forget()  # what is written now is what the signal is to leave
            pack(folder, FILES, kept)
            raise Interrupted(code) from None
        except TimeIsUpError:
            pack(folder, FILES, kept)
            raise
        pack(folder, (RUN_FILE, FILES[1], FILES[3]), kept)  # the state of a run that has ended is of no use
    phase = run.recipe.phases[0]
    return {"validation Dice": best, "epochs planned": phase.epochs, "size": phase.size, "batch": phase.batch_size}


def _fitting(
    recipe: Recipe, start: Path | None, share: float, data: Path, machine: Machine, ledger: Ledger, scratch: Path
) -> Recipe:
    """The recipe with as many epochs as fit into the time, by the second of two that are tried:
    the first also starts the workers and fills caches."""
    phase = recipe.phases[0]
    trial = replace(recipe, phases=(replace(phase, epochs=2),))
    run = Run(scratch / "trial", trial, data, None, start, chosen_precision(machine), False)
    require_possible(run, machine)
    begin_run(run)
    ends: list[float] = []
    train_run(run, machine, lambda: ends.append(time.monotonic()))
    seconds = ends[1] - ends[0]
    epochs = max(1, min(phase.epochs, int(share * ledger.left() / seconds)))
    return replace(recipe, phases=(replace(phase, epochs=epochs),))


def _keeper(run: Run, kept: Path, plan: Plan, ledger: Ledger) -> Any:
    """Called after every epoch: keeps the state every minute or so, and ends the call in time."""
    last = {"kept": time.monotonic(), "epoch": time.monotonic()}

    def after_epoch() -> None:
        now = time.monotonic()
        epoch, last["epoch"] = now - last["epoch"], now
        if now - last["kept"] >= plan.pack_every:
            pack(run.folder, FILES, kept)
            ledger.note_time()
            last["kept"] = time.monotonic()
        if ledger.left_of_call() < MARGIN * epoch:
            raise TimeIsUpError

    return after_epoch
