"""Leaving out warnings while something runs, on any number of threads at once."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager

from s2m_edge.process_wide import ProcessWide


def without_warnings(*categories: type[Warning]) -> AbstractContextManager[None]:
    """No warnings of these categories inside.

    The filters are the whole process's (before Python 3.14), and are as before once the last thread has left.
    """

    def ignore() -> None:
        for category in categories:
            warnings.simplefilter("ignore", category)

    return _own_filters(ignore)


def _keep_filters() -> Callable[[], None]:
    kept = warnings.catch_warnings()
    kept.__enter__()
    return lambda: kept.__exit__(None, None, None)


_own_filters = ProcessWide(_keep_filters)
