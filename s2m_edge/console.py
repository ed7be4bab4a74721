"""The terminal: results on stdout, progress and remarks on stderr. A leaf: it knows nothing of what is printed.

Texts are printed as they are: `[` begins no markup and `:` no emoji, in tables too. What is to have a colour is a
`Text`. Whatever would move a terminal appears escaped.
"""

from __future__ import annotations

import errno
import io
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleDimensions, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from s2m_edge import interrupts
from s2m_edge.texts import json_text, printable

UNFOLDED = 4096
"""Columns that no row of a table has."""


class _Terminal(Console):
    """A console that interprets nothing, and passes on no control characters but its own."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    @property
    def size(self) -> ConsoleDimensions:
        """Lines of a table are folded for a person's screen; a pipe or a file gets each row, and its path, whole."""
        known = super().size
        if self.is_terminal:
            return known
        columns = os.environ.get("COLUMNS", "")  # now: rich asks once, when this is made
        return ConsoleDimensions(int(columns) if columns.isdecimal() and int(columns) else UNFOLDED, known.height)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                lines = "\n".join(printable(line) for line in segment.text.split("\n"))
                yield Segment(lines, segment.style)


# Progress and remarks go to stderr, so that stdout holds results alone (and nothing but JSON with --json).
status = _Terminal(stderr=True)
output = _Terminal(soft_wrap=True)


def print_error(text: object) -> None:
    """One line on stderr that begins with "error:"."""
    _remark("error:", "bold red", text)


def print_warning(text: object) -> None:
    """One line on stderr that begins with "warning:"."""
    _remark("warning:", "yellow", text)


def _remark(word: str, style: str, text: object) -> None:
    status.print(Text.assemble((word, style), " ", printable(str(text))), soft_wrap=True)


def passed_or_failed(passed: bool) -> Text:
    """The last cell of a gate's row."""
    return Text("passed", style="green") if passed else Text("FAILED", style="bold red")


def print_json(values: Any) -> None:
    """JSON on stdout."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(json_text(values, only_ascii=encoding.lower().replace("-", "") not in ("utf8", "cp65001")))


@contextmanager
def progress_bar(description: str) -> Iterator[Any]:
    """A progress bar on stderr with a time estimate; yields `update(step, done, total)`.

    An `update` raises KeyboardInterrupt where this command was asked to end.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import TimeRemainingColumn as Remaining

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        Remaining(),
    )
    with Progress(*columns, console=status, transient=True) as bar:
        task = bar.add_task(description, total=None)

        def update(step: str, done: int, total: int) -> None:
            interrupts.heed()
            bar.update(task, description=printable(f"{description}: {step}"), completed=done, total=total or None)

        yield update


PLAIN_SECONDS = 10.0
"""At least, between two lines of progress, where standard error is no terminal."""


@contextmanager
def estimate_line(description: str, clock: Callable[[], float] = time.monotonic) -> Iterator[Any]:
    """A line on stderr of what goes on, how long it has been and how long the rest will take, by the caller's estimate;
    yields `update(text, seconds passed, seconds left)`.

    On a terminal it is one line with a bar that is gone at the end. Elsewhere it is a plain line now and then.
    An `update` raises KeyboardInterrupt where this command was asked to end.
    """
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

    if not status.is_terminal:
        last = -PLAIN_SECONDS

        def say(text: str, passed: float, left: float) -> None:
            nonlocal last
            interrupts.heed()
            if clock() - last >= PLAIN_SECONDS:
                last = clock()
                status.print(
                    printable(f"{description}: {text}, {clock_text(passed)} so far, {_about(left)}"), soft_wrap=True
                )

        yield say
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(bar_width=None))
    with Progress(*columns, TextColumn("{task.fields[left]}", markup=False), console=status, transient=True) as bar:
        task = bar.add_task(description, total=None, left="")

        def update(text: str, passed: float, left: float) -> None:
            interrupts.heed()
            bar.update(
                task,
                description=printable(f"{description}: {text}"),
                completed=passed,
                total=passed + left,
                left=f"{clock_text(passed)} so far, {_about(left)}",
            )

        yield update


def clock_text(seconds: float) -> str:
    """Minutes and seconds, for instance "1:05"."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def _about(seconds: float) -> str:
    return f"about {clock_text(seconds)} left"


@dataclass
class Stream:
    """A standard stream that never stops a command: what cannot be encoded is escaped, and what cannot be written is
    dropped.

    Attributes:
        stream: the one that it stands for.
        error: why it takes nothing any more.
    """

    stream: Any
    error: OSError | None = None

    def write(self, text: str) -> int:
        encoding = getattr(self.stream, "encoding", None) or "utf-8"
        self._try(self.stream.write, text.encode(encoding, "backslashreplace").decode(encoding, "replace"))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        self._try(self.stream.flush)

    def _try(self, call: Any, *arguments: Any) -> None:
        if self.error is not None:
            return
        try:
            call(*arguments)
        except OSError as error:
            self.error = error
            with suppress(OSError, ValueError, AttributeError):  # what is still buffered has to go somewhere at the end
                sink = os.open(os.devnull, os.O_WRONLY)
                os.dup2(sink, self.stream.fileno())
                os.close(sink)

    @property
    def lost(self) -> OSError | None:
        """Why somebody who waits for it does not get it all; None where the reader has gone by itself."""
        return None if self.error is None or self.error.errno == errno.EPIPE else self.error

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextmanager
def lasting_streams() -> Iterator[Stream]:
    """Standard streams, within, that outlive a reader who goes (`| head -1`) and a full disk; yields that of stdout.

    Streams that were closed when the process began lead nowhere: the next file to be opened would take their number,
    and receive what native code prints.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    before = sys.stdout, sys.stderr
    out, err = (None if stream is None else Stream(stream) for stream in before)
    sys.stdout, sys.stderr = out, err  # type: ignore[assignment]
    try:
        yield out or Stream(io.StringIO())
    finally:
        for stream in (out, err):
            if stream is not None:
                stream.flush()
        sys.stdout, sys.stderr = before
