"""The folder of a day: one JSON per step, the time spent, and a page about all of it, each written whole or not."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from s2m_edge.errors import ConfigurationError, S2MEdgeError
from s2m_edge.files import write_bytes, write_json
from s2m_edge.text_files import read_text

State = Literal["done", "failed", "unfinished", "skipped"]
DAY = "day.json"


@dataclass(frozen=True)
class Result:
    """What a step came to.

    Attributes:
        reason: why it is not done, one line; empty where it is.
        values: JSON values.
    """

    state: State
    values: dict[str, Any]
    reason: str = ""
    seconds: float = 0.0


class Ledger:
    """Results by step in `folder`, and the seconds that the day may still take, over all its calls.

    Args:
        kind: device and sizes, which a second call may not change.
        minutes: of the whole day.
        call_minutes: of this call.

    Raises:
        ConfigurationError: the folder is of another kind of day, or damaged.
        OutputError: it cannot be written.
    """

    def __init__(self, folder: Path, kind: Mapping[str, Any], minutes: float, call_minutes: float) -> None:
        self.folder, self.kind = folder, dict(kind)
        self.before, self.began = 0.0, time.monotonic()
        self.total, self.call = minutes * 60, call_minutes * 60
        path = folder / DAY
        if path.is_file():
            try:
                found = json.loads(read_text(path))
                self.before, earlier = float(found["seconds"]), found["kind"]
            except (KeyError, TypeError, ValueError) as error:
                raise ConfigurationError(f"{path} is damaged ({error})", "Choose another --out.") from None
            if earlier != self.kind:
                raise ConfigurationError(
                    f"{folder} holds a day of another kind ({earlier})", "Give the same options, or another --out."
                )
        self.note_time()

    def left(self) -> float:
        """Seconds of the whole day."""
        return self.total - self.before - (time.monotonic() - self.began)

    def left_of_call(self) -> float:
        """Seconds until this call has to end."""
        return min(self.left(), self.call - (time.monotonic() - self.began))

    def note_time(self) -> None:
        write_json(self.folder / DAY, {"kind": self.kind, "seconds": round(self.total - self.left(), 1)})

    def path(self, step: str) -> Path:
        return self.folder / "results" / f"{step}.json"

    def result(self, step: str) -> Result | None:
        """What a step came to, or None. One that cannot be read counts as not done."""
        try:
            return Result(**json.loads(read_text(self.path(step))))
        except (S2MEdgeError, TypeError, ValueError):
            return None

    def write(self, step: str, result: Result, steps: Mapping[str, str]) -> None:
        """Keep a result and renew the page.

        Args:
            steps: every step's name and title, in the order of the page.
        """
        write_json(self.path(step), asdict(result))
        self.note_time()
        write_bytes(self.folder / "REPORT.md", self.page(steps).encode())

    def page(self, steps: Mapping[str, str]) -> str:
        """REPORT.md: a table of the steps, then the values of each."""
        found = {step: self.result(step) for step in steps}
        lines = ["# A day with a GPU", "", "| step | state | seconds | |", "|---|---|---|---|"]
        for step, title in steps.items():
            result = found[step]
            row = ("not begun", "", "") if result is None else (result.state, f"{result.seconds:.0f}", result.reason)
            lines.append(f"| {title} | {' | '.join(entry.replace('|', '/') for entry in row)} |")
        for step, title in steps.items():
            result = found[step]
            if result is not None and result.values:
                lines += ["", f"## {title}", "", "| | |", "|---|---|"]
                lines += [f"| {name} | {_cell(value)} |" for name, value in _flat(result.values)]
        return "\n".join(lines) + "\n"


def _flat(values: Mapping[str, Any], name: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for key, value in values.items():
        full = f"{name}, {key}" if name else key
        rows += _flat(value, full) if isinstance(value, dict) else [(full.replace("|", "/"), value)]
    return rows


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace("|", "/")
