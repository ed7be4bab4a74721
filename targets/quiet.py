"""Keeping the backends' chatter (import warnings, version remarks, native logs) off the user's terminal."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_backend() -> Iterator[None]:
    """No log records below ERROR inside, and no warnings about interfaces; the root logger is as before afterwards.

    RuntimeWarning stays: numpy warns so when a weight overflows float16. Some backends call logging.basicConfig when
    they are imported, which would give every program that exports a root handler.
    """
    root = logging.getLogger()
    handlers, level, disabled = list(root.handlers), root.level, root.manager.disable
    logging.disable(max(disabled, logging.WARNING))
    try:
        with warnings.catch_warnings():
            for category in (UserWarning, DeprecationWarning, FutureWarning, PendingDeprecationWarning, ImportWarning):
                warnings.simplefilter("ignore", category)
            yield
    finally:
        logging.disable(disabled)
        root.handlers[:] = handlers
        root.setLevel(level)


@contextmanager
def quiet_native() -> Iterator[None]:
    """`quiet_backend`, and nothing that native code writes to file descriptor 2 either.

    Keep the body short: the descriptor belongs to the whole process.
    """
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # no standard error at all: nothing to hide
        with quiet_backend():
            yield
        return
    try:
        with open(os.devnull, "wb") as sink:
            os.dup2(sink.fileno(), 2)
        with quiet_backend():
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
