"""One thread that does whatever takes time, so that the window never waits."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import PriorityQueue
from typing import Any

from PySide6.QtCore import QThread, Signal

from s2m_edge.errors import S2MEdgeError


class Stopped(Exception):  # noqa: N818 - it is none's error
    """Raised by a job that was cancelled while it ran; it counts as skipped."""


@dataclass(frozen=True)
class Job:
    """Something to do.

    Attributes:
        kind: what cancels together ("show", "segment", "export", ...).
        run: called in the worker's thread.
        key: what the window knows it by.
        urgent: comes before jobs that are not.
    """

    kind: str
    run: Callable[[], Any]
    key: Any = None
    urgent: bool = True


@dataclass(order=True)
class _Entry:
    rank: int
    number: int
    job: Job | None = field(compare=False)
    generation: int = field(compare=False, default=0)


class Worker(QThread):
    """Runs jobs one after the other, the urgent ones first. Its signals arrive in the thread of who connected.

    Signals:
        done: job and result. failed: job and a one-line reason. skipped: a job that was cancelled.
        stepped: key of a job, steps done and in all, of jobs that tell.
    """

    done = Signal(object, object)
    failed = Signal(object, str)
    skipped = Signal(object)
    stepped = Signal(object, int, int)

    def __init__(self) -> None:
        super().__init__()
        self._queue: PriorityQueue[_Entry] = PriorityQueue()
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._generations: dict[str, int] = {}

    def submit(self, job: Job) -> None:
        """Have a job done."""
        with self._lock:
            generation = self._generations.get(job.kind, 0)
        self._queue.put(_Entry(0 if job.urgent else 1, next(self._numbers), job, generation))

    def cancel(self, kind: str) -> None:
        """Skip the jobs of a kind that have not begun; `cancelled` tells one that has."""
        with self._lock:
            self._generations[kind] = self._generations.get(kind, 0) + 1

    def cancellation(self, kind: str) -> Callable[[], bool]:
        """A question for a long job of this kind to ask: was it cancelled since?"""
        with self._lock:
            generation = self._generations.get(kind, 0)
        return lambda: self._generations.get(kind, 0) != generation

    def steps(self, kind: str, key: Any) -> Callable[[int, int], None]:
        """What a long job of this kind calls with steps done and in all: it tells, and stops a cancelled one."""
        stop = self.stopping(kind)

        def step(done: int, total: int) -> None:
            stop(done, total)
            self.stepped.emit(key, done, total)

        return step

    def stopping(self, kind: str) -> Callable[[int, int], None]:
        """The same of a job that does not tell."""
        cancelled = self.cancellation(kind)

        def stop(done: int, total: int) -> None:
            if cancelled():
                raise Stopped

        return stop

    def finish(self) -> None:
        """Skip what is left, wait for the job that runs, end."""
        for kind in ("show", "segment", "export", "open", "measure", "documents", "figures"):
            self.cancel(kind)
        self._queue.put(_Entry(-1, next(self._numbers), None))
        self.wait()

    def run(self) -> None:
        while (entry := self._queue.get()).job is not None:
            job = entry.job
            if self._generations.get(job.kind, 0) != entry.generation:
                self.skipped.emit(job)
                continue
            try:
                result = job.run()
            except Stopped:
                self.skipped.emit(job)
            except S2MEdgeError as error:
                self.failed.emit(job, str(error))
            except MemoryError:
                self.failed.emit(job, "out of memory. Close other programs, or use a smaller image.")
            except Exception as error:  # nothing may end the thread, and no traceback reaches a user
                reason = str(error).splitlines()[0] if str(error) else "no further word"
                self.failed.emit(job, f"unexpected {type(error).__name__} ({reason}). Please report it.")
            else:
                self.done.emit(job, result)
