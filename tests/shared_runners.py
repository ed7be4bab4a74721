"""What the tests of shared runners do on many threads, and in other processes, which import this module alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

TOGETHER = 120.0
"""Seconds that threads or processes wait for each other before they begin."""

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
