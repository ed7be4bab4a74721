"""Keeping the backends' chatter (import warnings, version remarks, native logs) off the user's terminal."""

from __future__ import annotations

import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from s2m_edge.silence import without_warnings

_ONE_THREAD = threading.RLock()
"""What is quietened is the whole process's: of two threads that took turns inside, the last to leave would restore what
the other had silenced, for good."""


@contextmanager
def quiet_backend() -> Iterator[None]:
    """No log records below ERROR inside, and no warnings about interfaces; the root logger is as before afterwards.

    One thread at a time is inside; others wait.

    RuntimeWarning stays: numpy warns so when a weight overflows float16. Some backends call logging.basicConfig when
    they are imported, which would give every program that exports a root handler.
    """
    with _ONE_THREAD, _quiet_python():
        yield


@contextmanager
def _quiet_python() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, disabled = list(root.handlers), root.level, root.manager.disable
    logging.disable(max(disabled, logging.WARNING))
    try:
        with without_warnings(UserWarning, DeprecationWarning, FutureWarning, PendingDeprecationWarning, ImportWarning):
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
    with _ONE_THREAD, _quiet_descriptor():
        yield


@contextmanager
def _quiet_descriptor() -> Iterator[None]:
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # no standard error at all: nothing to hide
        with _quiet_python():
            yield
        return
    try:
        with open(os.devnull, "wb") as sink:
            os.dup2(sink.fileno(), 2)
        with _quiet_python():
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@contextmanager
def quiet_copies() -> Iterator[None]:
    """No FutureWarning inside: copying a program of torch.export brings one up of a class of its own (LeafSpec)."""
    with without_warnings(FutureWarning):
        yield


def hush_copies() -> None:
    """No warning any more of a class of PyTorch's own (LeafSpec), which copying a program of torch.export brings up."""
    warnings.filterwarnings("ignore", message=r".*LeafSpec", category=FutureWarning)
