"""The command line, run in this process."""

from __future__ import annotations

import signal

import pytest

from s2m_edge.cli.main import main


@pytest.fixture
def run(capsys, monkeypatch):
    """Exit code, stdout, stderr."""
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: object) -> tuple[int, str, str]:
        before = signal.getsignal(signal.SIGTERM)
        with pytest.raises(SystemExit) as caught:
            main([str(argument) for argument in arguments])
        signal.signal(signal.SIGTERM, before)
        printed = capsys.readouterr()
        assert "Traceback" not in printed.out + printed.err
        return int(caught.value.code or 0), printed.out, printed.err

    return call
