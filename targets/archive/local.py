"""Working on an archive with processes of this machine, each with a runner of its own."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from s2m_edge.devices import THREAD_VARIABLES
from s2m_edge.errors import LoweringError, S2MEdgeError
from s2m_edge.targets.archive.job import Job, Options, Outcome, failed_outcome
from s2m_edge.targets.archive.work import Worker

LOST_IN_A_ROW = 3
"""Processes that may end by themselves, one after the other, without a single answer between."""


@dataclass(frozen=True)
class Crew:
    """Who works, and on what.

    Attributes:
        bundle, out: folders.
        workers: how many processes.
        threads: of each, for its runtime and for what numpy calls. Sums depend on them: with another number, pixels on
            the very threshold may turn.
    """

    bundle: Path
    out: Path
    options: Options
    workers: int = 1
    threads: int = 1


@dataclass
class _Place:
    """One process, and the item that it is at."""

    process: BaseProcess
    link: Connection
    job: Job | None = None


def work_locally(jobs: Iterable[Job], crew: Crew) -> Iterator[Outcome]:
    """What becomes of each item, in the order in which they end. No more are under way than there are processes.

    A process that ends (a crash of the runtime, a kill for want of memory) costs the item that it was at, and another
    one takes its place.

    Raises:
        LoweringError: processes ended several times in a row.
        S2MEdgeError: no item at all can be worked on: no runtime, no room on the disk.
    """
    waiting = iter(jobs)
    places = [_begin(crew) for _ in range(crew.workers)]
    lost = 0
    try:
        for place in places:
            _give(place, waiting)
        while busy := {place.link: place for place in places if place.job is not None}:
            for link in wait(list(busy)):
                place = next(found for found in places if found.link is link)
                job = place.job
                assert job is not None
                try:
                    outcome: Outcome = place.link.recv()
                    lost = 0
                except (EOFError, OSError):
                    outcome, lost = failed_outcome(job, _epitaph(place.process)), lost + 1
                    places[places.index(place)] = place = _begin(crew)
                if outcome.fatal:
                    raise S2MEdgeError(outcome.fatal)
                yield outcome
                if lost >= LOST_IN_A_ROW:
                    raise LoweringError(
                        f"{lost} processes in a row ended by themselves, the last at {job.item.path}",
                        "Look at memory and at s2m-edge doctor; what is done is in the ledger.",
                    )
                _give(place, waiting)
    finally:
        for place in places:
            _end(place)


def _begin(crew: Crew) -> _Place:
    context = multiprocessing.get_context("spawn")  # a runtime's threads do not survive a fork
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, crew), daemon=True)
    with variables(dict.fromkeys(THREAD_VARIABLES, str(crew.threads))):
        process.start()
    theirs.close()  # so that its end is seen
    return _Place(process, ours)


@contextmanager
def variables(values: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for the processes that are started within."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _give(place: _Place, waiting: Iterator[Job]) -> None:
    place.job = next(waiting, None)
    if place.job is not None:
        with suppress(OSError):  # it has ended: `recv` says so
            place.link.send(place.job)


def _end(place: _Place) -> None:
    place.link.close()
    place.process.terminate()  # what it is writing is hidden beside its place
    place.process.join()


def _epitaph(process: BaseProcess) -> str:
    process.join()
    code = process.exitcode or 0
    return f"its process ended by signal {-code}" if code < 0 else f"its process ended with {code}"


def _serve(link: Connection, crew: Crew) -> None:
    """A process: items in, outcomes out, until the other side is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the command, which ends its workers
    os.dup2(2, 1)  # standard output holds the command's results alone
    try:
        worker = Worker(crew.bundle, crew.out, crew.options, crew.threads)
    except S2MEdgeError as error:
        worker = None
        failure = Outcome("failed", fatal=str(error))
    while True:
        try:
            job: Job = link.recv()
            link.send(failure if worker is None else worker.work(job))
        except (EOFError, OSError):
            return
