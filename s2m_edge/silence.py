"""Leaving out warnings while something runs, on any number of threads at once."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_inside = 0
_before: list[warnings.catch_warnings[None]] = []


@contextmanager
def without_warnings(*categories: type[Warning]) -> Iterator[None]:
    """No warnings of these categories inside.

    The filters are the whole process's (before Python 3.14). They are as before once the last thread has left: of two
    threads with a `warnings.catch_warnings` each, the last to leave may restore what the other had silenced, for good.
    """
    global _inside
    with _lock:
        if _inside == 0:
            _before.append(warnings.catch_warnings())
            _before[0].__enter__()
        _inside += 1
        for category in categories:
            warnings.simplefilter("ignore", category)
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _before.pop().__exit__(None, None, None)
