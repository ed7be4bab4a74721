"""Ctrl-C and a polite kill: noted once, so that a library which swallows the exception does not swallow the request.

The command line listens (`listening`); whatever is about to begin a step, or to put a result in its place, asks
(`heed`). A signal is still raised as KeyboardInterrupt where it lands, so that most commands end there and then.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from s2m_edge.errors import causes

SIGNALS = (signal.SIGINT, signal.SIGTERM)
ONE_PRESS = 0.5
"""Seconds within which a second signal is the first one again: a terminal tells the whole group, and wrappers (npm, uv)
pass on what they hear."""

_SHOW_CURSOR = b"\x1b[?25h"


@dataclass
class _Noted:
    """The first signal of this command, when it came, how many ask that it be raised later, and how what was
    interrupted is gone on with."""

    number: int | None = None
    at: float = 0.0
    postponed: int = 0
    resumed_by: str | None = None


_noted = _Noted()


@contextmanager
def listening() -> Iterator[None]:
    """Note SIGINT and SIGTERM within, and raise KeyboardInterrupt; a second one ends the process at once.

    A signal that the process was started to ignore (a shell's background job) stays ignored.
    """
    _noted.number = _noted.resumed_by = None
    before: dict[int, Any] = {}
    if _in_main_thread():
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, _note)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _noted.number = _noted.resumed_by = None


@contextmanager
def postponed() -> Iterator[None]:
    """Raise an interrupt that comes within at the end: for the moment between starting a process and being sure that it
    will be ended, in which an exception would leave it to itself."""
    _noted.postponed += 1
    try:
        yield
    finally:
        _noted.postponed -= 1
    if _noted.postponed == 0:
        heed()


@contextmanager
def resumable(*command: object) -> Iterator[None]:
    """What an interrupt leaves within is a state to go on from, and the command's last words say how.

    Args:
        command: what goes on; the same command as before where it is empty.
    """
    try:
        yield
    except KeyboardInterrupt:
        again = shlex.join(str(word) for word in command)
        _noted.resumed_by = f"go on with: {again}" if command else "the same command goes on with what is left"
        raise


def last_words() -> str:
    """What an interrupted command says: how to go on, or that there is nothing to tidy up."""
    if _noted.resumed_by is not None:
        return f"interrupted; {_noted.resumed_by}"
    return "interrupted; nothing was left half-written"


def received() -> int | None:
    """The signal that asked this command to end, or None."""
    return _noted.number


def forget() -> None:
    """For a command whose regular end an interrupt is, such as a server's."""
    _noted.number = None


def exit_code() -> int:
    """What an interrupted command returns: 128 and the signal's number, 130 of Ctrl-C and 143 of a kill."""
    return 128 + (_noted.number or signal.SIGINT)


def heed(error: BaseException | None = None) -> None:
    """Raise KeyboardInterrupt where this command was asked to end, whoever swallowed the exception.

    Args:
        error: a stranger's exception; an interrupt among its causes counts too, where nobody listens to signals.
    """
    wrapped = error is not None and any(isinstance(cause, KeyboardInterrupt) for cause in causes(error))
    if wrapped or (_noted.number is not None and _in_main_thread()):
        raise KeyboardInterrupt from None


def _in_main_thread() -> bool:
    """By the system's number of the thread: what runs in a library's thread may have made another object of it."""
    return threading.get_ident() == threading.main_thread().ident


def _note(number: int, frame: Any) -> None:
    now = time.monotonic()
    if _noted.number is None:
        _noted.number, _noted.at = number, now
        if _noted.postponed == 0:
            raise KeyboardInterrupt
    if now - _noted.at >= ONE_PRESS:
        _end_at_once(number)


def _end_at_once(number: int) -> None:
    """No clean-up: what was being written is hidden beside its place, and the next run removes it."""
    cursor = _SHOW_CURSOR if sys.stderr is not None and sys.stderr.isatty() else b""
    os.write(2, cursor + b"\nended at once; the next run removes what was being written\n")
    os._exit(128 + number)
