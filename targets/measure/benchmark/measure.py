"""Measuring contenders side by side: every round runs each of them once, in an order shuffled anew."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from s2m_edge.errors import LoweringError
from s2m_edge.targets.measure.benchmark.ceiling import FLOP
from s2m_edge.targets.measure.benchmark.contenders import S2M_NET, Contender, matrix_product
from s2m_edge.targets.measure.benchmark.instruction_sets import (
    InstructionSet,
    disobedience,
    remainder,
    why_deaf,
)
from s2m_edge.targets.measure.benchmark.older_processor import older_environment
from s2m_edge.targets.measure.benchmark.processes import WorkerProcess, begin_worker
from s2m_edge.targets.measure.benchmark.progress import Pace
from s2m_edge.targets.measure.benchmark.samples import SampleChoice
from s2m_edge.targets.measure.benchmark.streams import has_own_streams, process_streams
from s2m_edge.targets.measure.benchmark.subjects import EXECUTED

WARM_UP = 3
"""Predictions before the first that counts; memory is read after them."""

PAUSE_SECONDS = 0.05
"""Between two contenders: some runtimes' threads go on spinning for a while after a run, on the next one's cores."""

LOW, HIGH = 10, 90
"""Percentiles that are reported beside the median."""

Status = Literal["executed", "converted, not executed", "not run"]


@dataclass(frozen=True)
class Settings:
    """How a benchmark is run.

    Attributes:
        threads: of every contender.
        rounds: how often each is timed.
        samples: pictures for Dice; the first is the one that is timed.
        profile: also say where the time goes.
        throughput: also count images per second with several under way.
        limit: what the processor is taken to have; None: what it has.
    """

    threads: int
    rounds: int
    samples: SampleChoice
    profile: bool = False
    throughput: bool = False
    limit: InstructionSet | None = None

    @cached_property
    def older(self) -> dict[str, str]:
        """What makes the workers find an older processor; nothing where there is no limit, or no such means here."""
        return older_environment(self.limit) if self.limit else {}

    @property
    def variables(self) -> dict[str, str]:
        """Of the workers' environment."""
        return {**self.limit.variables, **self.older} if self.limit else {}


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
        throughput: images per second in how many streams, see streams.py.
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
    throughput: dict[str, Any] | None = None
    remarks: tuple[str, ...] = ()

    @property
    def median(self) -> float:
        return statistics.median(self.milliseconds)

    def percentile(self, percent: float) -> float:
        return float(np.percentile(self.milliseconds, percent))


@dataclass(frozen=True)
class Measurement:
    """Rows in the given order, and the matrix product's time in every round, in milliseconds."""

    rows: tuple[Row, ...]
    products: tuple[float, ...]

    @property
    def ceiling_milliseconds(self) -> float:
        """Of the best matrix product."""
        return min(self.products)

    @property
    def noise(self) -> float:
        """How unevenly the machine ran: the matrix products' 10th to 90th percentile, over their median."""
        low, high = np.percentile(self.products, (LOW, HIGH))
        return float(high - low) / statistics.median(self.products)

    @property
    def ceiling(self) -> float:
        """GFLOP/s of the best matrix product."""
        return FLOP / self.ceiling_milliseconds / 1e6

    @property
    def base(self) -> Row | None:
        """The faster of PyTorch's eager rows; None where none was executed."""
        eager = [row for row in self.rows if row.entry.contender.kind == "eager" and row.milliseconds]
        return min(eager, key=lambda row: row.median, default=None)


def measure(entries: Sequence[Entry], settings: Settings, pace: Pace) -> Measurement:
    """Open every contender in a process of its own, time them in turn, then measure throughput, Dice and profiles.

    A contender that fails keeps a row with the reason; the others go on.
    """
    picture = str(settings.samples.picture().resolve())
    rows: list[Row] = []
    workers: dict[int, WorkerProcess] = {}
    expect(entries, settings, pace)
    with ExitStack() as stack:
        for index, entry in enumerate(entries):
            deaf = why_deaf(entry.contender, bool(settings.older)) if settings.limit and not entry.failure else ""
            if entry.failure or deaf:
                rows.append(Row(entry, "not run", entry.failure or deaf))
                continue
            pace.begin("loading", entry.contender.title)
            worker = _begin(stack, entry.contender, settings)
            row = _open(worker, entry, picture, settings)
            rows.append(row)
            if row.status == EXECUTED:
                workers[index] = worker
            else:
                worker.end()
        pace.begin("loading", "matrix product")
        product = _begin(stack, matrix_product(entries[0].contender.source), settings)
        product.ask("open", contender=product.contender.to_dict(), threads=settings.threads)
        product.ask("run", count=WARM_UP)
        products = _time(rows, workers, product, settings.rounds, pace)
        for index, worker in workers.items():
            if settings.throughput:
                pace.begin("streams", f"of {worker.contender.title}")
                rows[index] = _with_throughput(rows[index], worker, settings, picture)
            pace.begin("scoring", worker.contender.title)
            rows[index] = _with_dice(rows[index], worker, settings.samples)
            if settings.profile and worker.contender.network == S2M_NET:  # others have other blocks
                rows[index] = _with_profile(rows[index], worker, settings.rounds)
    pace.end()
    return Measurement(tuple(rows), tuple(products))


def expect(entries: Sequence[Entry | None], settings: Settings, pace: Pace) -> None:
    """Tell `pace` what a measurement of so many contenders takes."""
    pace.expect("loading", len(entries) + 1)
    pace.expect("round", settings.rounds)
    pace.expect("streams", len(entries) if settings.throughput else 0)
    pace.expect("scoring", len(entries))


def _begin(stack: ExitStack, contender: Contender, settings: Settings) -> WorkerProcess:
    return begin_worker(stack, contender, settings.threads, settings.variables)


def _open(worker: WorkerProcess, entry: Entry, picture: str, settings: Settings) -> Row:
    remarks: list[str] = []
    limit = settings.limit
    try:
        opened = worker.ask("open", contender=entry.contender.to_dict(), threads=worker.threads, picture=picture)
        if opened["verdict"] != EXECUTED:
            return Row(entry, "converted, not executed", f"{opened['device']} is no runtime", opened["device"])
        worker.ask("run", count=WARM_UP)
        memory = worker.ask("memory")
        if limit is not None:
            if settings.older and (seen := worker.ask("seen", names=limit.without)) != []:
                found = "the processor itself" if seen is None else ", ".join(seen)
                return Row(entry, "not run", f"told to use {limit.name} at most, it finds {found}")
            kernels = worker.ask("kernels")
            if why := disobedience(limit, kernels, bool(settings.older)):
                return Row(entry, "not run", why)
            remarks += [text] if (text := remainder(limit, kernels)) else []
    except LoweringError as error:
        return Row(entry, "not run", error.cause)
    return Row(
        entry,
        "executed",
        device=opened["device"],
        load_seconds=opened["load_seconds"],
        peak_memory=memory["peak"],
        resident_memory=memory["resident"],
        remarks=tuple(remarks),
    )


def _time(
    rows: list[Row], workers: dict[int, WorkerProcess], product: WorkerProcess, rounds: int, pace: Pace
) -> list[float]:
    """Fill in the rows' times; the times of the matrix product. A worker that fails loses its times."""
    order = random.Random(0)  # seeded: two runs meet the same order
    times: dict[int, list[float]] = {index: [] for index in workers}
    products: list[float] = []
    for round_index in range(rounds):
        turns: list[int | None] = [*workers, None]
        order.shuffle(turns)
        pace.begin("round", f"round {round_index + 1} of {rounds}")
        for turn in turns:
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
    return products


def _with_throughput(row: Row, worker: WorkerProcess, settings: Settings, picture: str) -> Row:
    contender = worker.contender
    if contender.kind == "compiled":
        return replace(row, remarks=(*row.remarks, "streams: not counted, every process would compile it"))
    try:
        if has_own_streams(contender):
            found = worker.ask("streams", count=settings.rounds)
        else:
            found = process_streams(contender, settings.threads, settings.rounds, picture, settings.variables)
    except LoweringError as error:
        return replace(row, remarks=(*row.remarks, f"streams: {error.cause}"))
    return replace(row, throughput=found)


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
