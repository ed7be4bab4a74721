"""Keeping the backend's chatter (import warnings, CPU detection, native logs) off the user's terminal."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_python() -> Iterator[None]:
    """No warnings and no log records below ERROR inside; the root logger's handlers are as before afterwards.

    Importing the partitioner calls logging.basicConfig, which would give every program that exports a root handler.
    """
    root = logging.getLogger()
    handlers, level, disabled = list(root.handlers), root.level, root.manager.disable
    logging.disable(max(disabled, logging.WARNING))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        root.handlers[:] = handlers
        root.setLevel(level)


@contextmanager
def quiet_native() -> Iterator[None]:
    """`quiet_python`, and nothing that native code writes to file descriptor 2 either.

    Keep the body short: the descriptor belongs to the whole process.
    """
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # no standard error at all: nothing to hide
        with quiet_python():
            yield
        return
    try:
        with open(os.devnull, "wb") as sink:
            os.dup2(sink.fileno(), 2)
        with quiet_python():
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
