"""What is changed for the whole process while any of its threads wants it so."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class ProcessWide:
    """A change to the whole process: made when the first thread enters, taken back when the last one leaves.

    Threads that each changed and restored it by themselves would restore what another one had changed, for good.

    Args:
        change: makes it, and gives what takes it back.
    """

    def __init__(self, change: Callable[[], Callable[[], None]]) -> None:
        self._change = change
        self._lock = threading.Lock()
        self._inside = 0
        self._take_back: Callable[[], None] = lambda: None

    @contextmanager
    def __call__(self, also: Callable[[], None] = lambda: None) -> Iterator[None]:
        """The change is in force within.

        Args:
            also: called by each thread once it is, while no other thread enters or leaves.
        """
        with self._lock:
            if self._inside == 0:
                self._take_back = self._change()
            self._inside += 1
        try:
            with self._lock:
                also()
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if self._inside == 0:
                    self._take_back()
