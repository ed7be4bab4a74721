"""Running the board's program in tests."""

from __future__ import annotations

import errno
import json
import os
import pty
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Done:
    """What a run of the program left."""

    code: int
    out: str
    err: str

    @property
    def values(self) -> dict[str, Any]:
        return json.loads(self.out)

    def assert_refused(self, code: int, *words: str) -> None:
        """It ended with `code` and one line on stderr that holds `words`."""
        lines = self.err.splitlines()
        assert (self.code, len(lines)) == (code, 1), self.err
        assert lines[0].startswith("error: ")
        for word in words:
            assert word in lines[0]


Run = Callable[..., Done]


def run_program(*command: object, timeout: float = 120) -> Done:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, timeout=timeout)
    return Done(done.returncode, done.stdout, done.stderr)


def run_on_a_terminal(*command: object, timeout: float = 120) -> Done:
    """The same where stderr is a terminal; `err` is all that was written to it, line ends as a terminal makes them.

    For programs that write little: nothing is read before the end, and a terminal holds a few kilobytes.
    """
    terminal, other_end = pty.openpty()
    words = [str(word) for word in command]
    try:
        try:
            done = subprocess.run(words, stdout=subprocess.PIPE, stderr=other_end, text=True, timeout=timeout)
        finally:
            os.close(other_end)
        return Done(done.returncode, done.stdout, _all_that_waits(terminal).decode())
    finally:
        os.close(terminal)


def _all_that_waits(terminal: int) -> bytes:
    """What nobody writes to any more. It takes several readings: each gives what the kernel has handed on so far."""
    pieces = []
    while True:
        try:
            piece = os.read(terminal, 4096)
        except OSError as error:
            if error.errno != errno.EIO:  # Linux's word for an end that nobody holds
                raise
            piece = b""
        if not piece:
            return b"".join(pieces)
        pieces.append(piece)
