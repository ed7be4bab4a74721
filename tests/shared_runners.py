"""What the tests of shared runners do on many threads, and in other processes, which import this module alone."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

TOGETHER = 120.0
"""Seconds that threads or processes wait for each other before they begin."""

LOOKED_AT = 0.5
"""Seconds for which the threads of a runner that predicts are looked at."""

_gate: Any = None


def on_threads(count: int, work: Callable[[int], Any]) -> list[Any]:
    """What `work` gives for the numbers 0 to count - 1, on as many threads that begin together.

    Raises:
        Exception: the first that a thread raised.
    """
    gate = threading.Barrier(count)
    results: list[Any] = [None] * count
    raised: list[BaseException] = []

    def run(number: int) -> None:
        try:
            gate.wait(TOGETHER)
            results[number] = work(number)
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if raised:
        raise raised[0]
    return results


def remember_gate(gate: Any) -> None:
    """A process begins: the barrier at which it meets the others."""
    global _gate
    _gate = gate


def answers_of(folder: Path, pictures: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
    """The answers to fitted pictures of a bundle that this process opens, on one thread, when all have come here."""
    from s2m_edge.deploy.bundle import open_bundle
    from s2m_edge.targets.opening import open_runner

    _gate.wait(TOGETHER)
    runner = open_runner(open_bundle(folder), threads=1)
    return [runner.predict(picture) for picture in pictures]


def bound_threads_of(folder: Path, picture: NDArray[np.uint8]) -> set[int]:
    """This process's threads that were seen on fewer cores than others, while two threads of its runner predicted."""
    from s2m_edge.deploy.bundle import open_bundle
    from s2m_edge.targets.opening import open_runner

    runner = open_runner(open_bundle(folder), threads=2)
    found: set[int] = set()
    end = time.monotonic() + LOOKED_AT

    def predict() -> None:
        while time.monotonic() < end:
            runner.predict(picture)

    predicting = threading.Thread(target=predict)
    predicting.start()
    while predicting.is_alive():
        found |= _bound_threads()
    predicting.join()
    return found


def _bound_threads() -> set[int]:
    cores = {}
    for number in map(int, os.listdir("/proc/self/task")):
        with suppress(ProcessLookupError):
            cores[number] = len(os.sched_getaffinity(number))
    most = max(cores.values())
    return {number for number, own in cores.items() if own < most}
