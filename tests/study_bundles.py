"""A bundle whose network marks what is bright, and slices on which something grows: for what is made of studies."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from s2m_edge.apps.vectors.generate import VECTORS
from s2m_edge.apps.vectors.refusals import REFUSALS

BRIGHT_STACK = np.zeros((5, 24, 30), np.uint16)
for _number in range(5):
    BRIGHT_STACK[_number, 3 : 8 + _number, 4:20] = 4000


class BrightRunner:
    """In place of an artifact: a probability is the mean of a pixel's colours."""

    verdict, remark, device, opened = "executed", "", "none", 0

    def __init__(self, bundle: Any = None, threads: int | None = None) -> None:
        BrightRunner.opened += 1

    def predict(self, fitted: Any) -> Any:
        return (fitted.mean(axis=2)[None] / 255).astype(np.float32)


def bright_bundle(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sound bundle in that folder, which opens as a `BrightRunner`."""
    shutil.copytree(VECTORS / REFUSALS / "sound", folder)
    monkeypatch.setattr("s2m_edge.targets.opening.open_runner", BrightRunner)
    BrightRunner.opened = 0
    return folder
