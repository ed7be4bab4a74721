"""Handling a worker's process: begin, ask, end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from typing import Any

from s2m_edge import interrupts
from s2m_edge.devices import THREAD_VARIABLES
from s2m_edge.errors import LoweringError
from s2m_edge.targets.measure.benchmark.contenders import Contender

_MODULE = "s2m_edge.targets.measure.benchmark.worker"


def begin_worker(
    stack: ExitStack, contender: Contender, threads: int, variables: Mapping[str, str] | None = None
) -> WorkerProcess:
    """A worker that ends with `stack`, whenever Ctrl-C comes. The other arguments are those of `WorkerProcess`."""
    with interrupts.postponed():
        worker = WorkerProcess(contender, threads, variables)
        stack.callback(worker.end)
    return worker


class WorkerProcess:
    """One contender in a process of its own; see `begin_worker`.

    Args:
        threads: of the process.
        variables: of its environment, beside this one's.
    """

    def __init__(self, contender: Contender, threads: int, variables: Mapping[str, str] | None = None) -> None:
        self.contender, self.threads = contender, threads
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `end`
        self._process = subprocess.Popen(
            [sys.executable, "-m", _MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(threads)), **(variables or {})},
            text=True,
            encoding="utf-8",
            start_new_session=True,  # Ctrl-C is for the command, which then ends its workers
        )

    def ask(self, action: str, **values: Any) -> Any:
        """The result of a request.

        Raises:
            LoweringError: the worker failed, or is no more.
        """
        self.send(action, **values)
        return self.receive()

    def send(self, action: str, **values: Any) -> None:
        """Begin a request, whose result `receive` waits for; several workers may be at theirs at once."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # `receive` finds out why
            self._process.stdin.write(json.dumps({"do": action, **values}) + "\n")
            self._process.stdin.flush()

    def receive(self) -> Any:
        """The result of what was sent.

        Raises:
            LoweringError: the worker failed, or is no more.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise LoweringError(f"its process ended ({self._epitaph()})")
        answer = json.loads(line)
        if "error" in answer:
            raise LoweringError(answer["error"])
        return answer["result"]

    def end(self) -> None:
        """Kill the process and wait for it; it holds nothing worth keeping."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream is not None and not stream.closed:
                _close(stream)

    def _epitaph(self) -> str:
        code = self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return f"{how}: {lines[-1]}" if lines else how


def _close(stream: Any) -> None:
    with suppress(BrokenPipeError):  # what was buffered for a dead process
        stream.close()
