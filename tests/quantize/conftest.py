"""The command line, run in this process."""

from __future__ import annotations

import pytest

from command_line import Run, command_line


@pytest.fixture
def run(capsys, monkeypatch) -> Run:
    return command_line(capsys, monkeypatch)
