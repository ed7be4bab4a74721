"""Timing several things in turn, so that noise meets all alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping


def _at_once() -> None:
    """A CPU has done what it was told when the call returns."""


def interleaved_milliseconds(
    contenders: Mapping[str, Callable[[], object]],
    rounds: int,
    warm_up: int | None = None,
    wait: Callable[[], object] = _at_once,
) -> dict[str, list[float]]:
    """Wall times of every contender over `rounds` interleaved rounds, in milliseconds.

    Args:
        warm_up: rounds before those that count; one fifth as many, at least two, by default.
        wait: called before and after each turn; `torch.cuda.synchronize` on a GPU.
    """
    times: dict[str, list[float]] = {name: [] for name in contenders}
    before = max(2, rounds // 5) if warm_up is None else warm_up
    for index in range(before + rounds):
        for name, run in contenders.items():
            wait()
            began = time.perf_counter()
            run()
            wait()
            if index >= before:
                times[name].append((time.perf_counter() - began) * 1e3)
    return times


def median_milliseconds(
    contenders: Mapping[str, Callable[[], object]],
    rounds: int,
    warm_up: int | None = None,
    wait: Callable[[], object] = _at_once,
) -> dict[str, float]:
    """Median of each; see `interleaved_milliseconds`."""
    times = interleaved_milliseconds(contenders, rounds, warm_up, wait)
    return {name: statistics.median(values) for name, values in times.items()}
