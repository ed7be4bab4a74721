"""What is made once for all processes that share the tests, though each of them has the fixture."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from filelock import FileLock

Made = TypeVar("Made")


def shared_folder(factory: pytest.TempPathFactory) -> Path:
    """The folder of this run that all its processes have."""
    own = factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    folder = shared / "once"
    folder.mkdir(exist_ok=True)
    return folder


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], Made]) -> Made:
    """What `make` gives, which is called with the place for a file or folder of this name; others that ask for the name
    later, or meanwhile and wait, get the same. They leave what lies there as it is.

    Args:
        name: of what is made, and of nothing else in this run.
        make: gives something that can be pickled.
    """
    place = shared_folder(factory) / name
    place.parent.mkdir(parents=True, exist_ok=True)
    answer = place.parent / f"{place.name}.answer"
    with FileLock(place.parent / f"{place.name}.lock"):
        if not answer.exists():
            answer.write_bytes(pickle.dumps(make(place)))
        return pickle.loads(answer.read_bytes())
