"""A change to the whole process holds as long as one thread wants it, and no longer."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable

import pytest

from s2m_edge.process_wide import ProcessWide
from s2m_edge.silence import without_warnings


@pytest.fixture
def state() -> list[str]:
    return []


@pytest.fixture
def changed(state: list[str]) -> ProcessWide:
    def change() -> Callable[[], None]:
        state.append("changed")
        return state.clear

    return ProcessWide(change)


def test_it_is_made_once_and_taken_back_when_the_last_thread_has_left(state: list[str], changed: ProcessWide):
    entered, leave = threading.Event(), threading.Event()

    def other() -> None:
        with changed():
            entered.set()
            leave.wait(60)

    with changed():
        thread = threading.Thread(target=other)
        thread.start()
        assert entered.wait(60)
        assert state == ["changed"]
    assert state == ["changed"], "another thread is inside"
    leave.set()
    thread.join()
    assert state == []
    with changed():
        assert state == ["changed"]


def test_a_failure_takes_it_back(state: list[str], changed: ProcessWide):
    def fail() -> None:
        raise ValueError("in also")

    for also in (lambda: None, fail):
        with pytest.raises(ValueError, match="in also"), changed(also):
            fail()
        assert state == []


def test_warnings_are_silent_within_and_heard_as_before_afterwards():
    before = list(warnings.filters)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        with without_warnings(UserWarning):
            with without_warnings(DeprecationWarning):
                warnings.warn("one", UserWarning, stacklevel=1)
            warnings.warn("two", DeprecationWarning, stacklevel=1)
        warnings.warn("three", UserWarning, stacklevel=1)
    assert [str(one.message) for one in heard] == ["three"]
    assert list(warnings.filters) == before
