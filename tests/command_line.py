"""The command line, run in the tests' own process."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from s2m_edge.cli.main import main

Run = Callable[..., tuple[int, str, str]]


def heed_interrupts() -> None:
    """For a Popen's `preexec_fn`: a shell's background job ignores SIGINT, and what it starts would do so too."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def command_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs s2m-edge with the given words: exit code, stdout, stderr. Fails on a traceback."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: object) -> tuple[int, str, str]:
        before = signal.getsignal(signal.SIGTERM)
        with pytest.raises(SystemExit) as caught:
            main([str(word) for word in words])
        signal.signal(signal.SIGTERM, before)
        printed = capsys.readouterr()
        assert "Traceback" not in printed.out + printed.err
        return int(caught.value.code or 0), printed.out, printed.err

    return run
