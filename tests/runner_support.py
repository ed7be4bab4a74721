"""Running the board's program in tests."""

from __future__ import annotations

import json
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
