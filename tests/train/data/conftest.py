"""An image folder of the bundled real pictures."""

from __future__ import annotations

from pathlib import Path

import pytest

from support import write_sample_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two real pictures to train on, one to validate, one to test."""
    return write_sample_folder(tmp_path / "data", ("train", "train", "val", "test"))
