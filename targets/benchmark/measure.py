"""Measuring contenders side by side: every round runs each of them once, in an order shuffled anew."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from s2m_edge.errors import LoweringError
from s2m_edge.targets.benchmark.ceiling import FLOP
from s2m_edge.targets.benchmark.contenders import Contender, matrix_product
from s2m_edge.targets.benchmark.processes import WorkerProcess
from s2m_edge.targets.benchmark.samples import SampleChoice
from s2m_edge.targets.benchmark.subjects import EXECUTED

WARM_UP = 3
"""Predictions before the first that counts; memory is read after them."""

PAUSE_SECONDS = 0.05
"""Between two contenders: some runtimes' threads go on spinning for a while after a run, on the next one's cores."""

Status = Literal["executed", "converted, not executed", "not run"]
Notify = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Settings:
    """How a benchmark is run.

    Attributes:
        threads: of every contender.
        rounds: how often each is timed.
        samples: pictures for Dice; the first is the one that is timed.
        profile: also say where the time goes.
    """

    threads: int
    rounds: int
    samples: SampleChoice
    profile: bool = False


@dataclass(frozen=True)
class Entry:
    """A contender before it is measured.

    Attributes:
        artifact_bytes: size of what is loaded; None where it does not exist.
        failure: why it cannot be run; empty where it can.
    """

    contender: Contender
    artifact_bytes: int | None = None
    failure: str = ""


@dataclass(frozen=True)
class Row:
    """What was found of a contender.

    Attributes:
        status: "executed" has times; the others do not.
        reason: why it was not executed.
        device: what it ran on.
        milliseconds: of every round.
        load_seconds: from nothing loaded to ready.
        peak_memory, resident_memory: MiB, see `Worker.memory`; None where the system does not say.
        dice: mean, interval and images; None without labelled pictures or with random weights.
        profile: a `Profile` as JSON values.
        remarks: what failed beside the times.
    """

    entry: Entry
    status: Status
    reason: str = ""
    device: str = ""
    milliseconds: tuple[float, ...] = ()
    load_seconds: float | None = None
    peak_memory: float | None = None
    resident_memory: float | None = None
    dice: dict[str, Any] | None = None
    profile: dict[str, Any] | None = None
    remarks: tuple[str, ...] = ()

    @property
    def median(self) -> float:
        return statistics.median(self.milliseconds)

    def percentile(self, percent: float) -> float:
        return float(np.percentile(self.milliseconds, percent))


@dataclass(frozen=True)
class Measurement:
    """Rows in the given order, and the ceiling's best time in milliseconds."""

    rows: tuple[Row, ...]
    ceiling_milliseconds: float

    @property
    def ceiling(self) -> float:
        """GFLOP/s of the best matrix product."""
        return FLOP / self.ceiling_milliseconds / 1e6

    @property
    def base(self) -> Row | None:
        """The faster of PyTorch's eager rows; None where none was executed."""
        eager = [row for row in self.rows if row.entry.contender.kind == "eager" and row.milliseconds]
        return min(eager, key=lambda row: row.median, default=None)


def measure(entries: Sequence[Entry], settings: Settings, notify: Notify) -> Measurement:
    """Open every contender in a process of its own, time them in turn, then measure Dice and profiles.

    A contender that fails keeps a row with the reason; the others go on.

    Args:
        notify: called with the step, and how much of it is done and in all.
    """
    picture = str(settings.samples.picture().resolve())
    rows: list[Row] = []
    workers: dict[int, WorkerProcess] = {}
    with ExitStack() as stack:
        for index, entry in enumerate(entries):
            notify(f"loading {entry.contender.title}", index, len(entries))
            if entry.failure:
                rows.append(Row(entry, "not run", entry.failure))
                continue
            worker = _begin(stack, entry.contender, settings.threads)
            row = _open(worker, entry, picture)
            rows.append(row)
            if row.status == EXECUTED:
                workers[index] = worker
            else:
                worker.end()
        product = _begin(stack, matrix_product(entries[0].contender.source), settings.threads)
        product.ask("open", contender=product.contender.to_dict(), threads=settings.threads)
        product.ask("run", count=WARM_UP)
        best = _time(rows, workers, product, settings.rounds, notify)
        for index, worker in workers.items():
            notify(f"Dice of {worker.contender.title}", index, len(entries))
            rows[index] = _with_dice(rows[index], worker, settings.samples)
            if settings.profile and worker.contender.kind != "peer":  # a peer has other blocks
                notify(f"profile of {worker.contender.title}", index, len(entries))
                rows[index] = _with_profile(rows[index], worker, settings.rounds)
    return Measurement(tuple(rows), best)


def _begin(stack: ExitStack, contender: Contender, threads: int) -> WorkerProcess:
    worker = WorkerProcess(contender, threads)
    stack.callback(worker.end)
    return worker


def _open(worker: WorkerProcess, entry: Entry, picture: str) -> Row:
    try:
        opened = worker.ask("open", contender=entry.contender.to_dict(), threads=worker.threads, picture=picture)
        if opened["verdict"] != EXECUTED:
            return Row(entry, "converted, not executed", f"{opened['device']} is no runtime", opened["device"])
        worker.ask("run", count=WARM_UP)
        memory = worker.ask("memory")
    except LoweringError as error:
        return Row(entry, "not run", error.cause)
    return Row(
        entry,
        "executed",
        device=opened["device"],
        load_seconds=opened["load_seconds"],
        peak_memory=memory["peak"],
        resident_memory=memory["resident"],
    )


def _time(
    rows: list[Row], workers: dict[int, WorkerProcess], product: WorkerProcess, rounds: int, notify: Notify
) -> float:
    """Fill in the rows' times; the best time of the matrix product. A worker that fails loses its times."""
    order = random.Random(0)  # seeded: two runs meet the same order
    times: dict[int, list[float]] = {index: [] for index in workers}
    products: list[float] = []
    for round_index in range(rounds):
        turns: list[int | None] = [*workers, None]
        order.shuffle(turns)
        for done, turn in enumerate(turns):
            notify(f"round {round_index + 1} of {rounds}", round_index * len(turns) + done, rounds * len(turns))
            time.sleep(PAUSE_SECONDS)
            if turn is None:
                products += product.ask("run", count=1)
                continue
            try:
                times[turn] += workers[turn].ask("run", count=1)
            except LoweringError as error:
                rows[turn] = Row(rows[turn].entry, "not run", error.cause)
                workers.pop(turn).end()
    for index in workers:
        rows[index] = replace(rows[index], milliseconds=tuple(times[index]))
    return min(products)


def _with_dice(row: Row, worker: WorkerProcess, samples: SampleChoice) -> Row:
    try:
        found = worker.ask("dice", samples=samples.to_dict()) if samples.exist() else None
    except LoweringError as error:
        return replace(row, remarks=(*row.remarks, f"Dice: {error.cause}"))
    return replace(row, dice=found)


def _with_profile(row: Row, worker: WorkerProcess, rounds: int) -> Row:
    try:
        return replace(row, profile=worker.ask("profile", rounds=rounds))
    except LoweringError as error:
        return replace(row, remarks=(*row.remarks, error.cause))
