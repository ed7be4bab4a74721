"""results.csv and failures.csv of an archive: what its ledger says, for people and spreadsheets."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from s2m_edge.errors import OutputError
from s2m_edge.files import file_sha256, output_error, write_bytes
from s2m_edge.notice import NOTICE
from s2m_edge.targets.archive.ledger import Ledger
from s2m_edge.targets.archive.manifest import Item
from s2m_edge.texts import encoded, printable

RESULTS_FILE, FAILURES_FILE = "results.csv", "failures.csv"
RESULTS = (
    "name",
    "path",
    "slice",
    "study",
    "slices",
    "width",
    "height",
    "class",
    "area_pixels",
    "area_fraction",
    "volume_ml",
    "unusual",
    "files",
    "content_sha256",
    "notice",
)
SEPARATOR = "; "
"""Between the paths of one row."""

FAILURES = ("name", "path", "slice", "error")


def require_own_tables(folder: Path, ledger: Ledger) -> None:
    """Raise OutputError where a table is there that this archive did not write, or that somebody changed since."""
    for name in (RESULTS_FILE, FAILURES_FILE):
        path = folder / name
        try:
            ours = not path.exists() or file_sha256(path) in ledger.tables
        except OSError as error:
            raise output_error(path, error) from None
        if not ours:
            raise OutputError(
                f"{path} is there, and is not as this archive wrote it",
                "Move it elsewhere, or choose another folder with --out.",
            )


@dataclass(frozen=True)
class Told:
    """What the tables say in all.

    Attributes:
        unusual: items with something that is unlike the pictures the network was trained on.
        failures: path and error of each item that failed.
    """

    unusual: int
    failures: tuple[tuple[str, str], ...]


def write_tables(folder: Path, ledger: Ledger, items: Iterable[Item]) -> Told:
    """Write both tables, of the manifest's items in its order. They hold no times: equal results give equal tables.

    Raises:
        OutputError: one cannot be written.
    """
    results, failures = io.StringIO(), io.StringIO()
    result_rows, failure_rows = _writer(results, RESULTS), _writer(failures, FAILURES)
    unusual, failed = 0, list[tuple[str, str]]()
    for item in items:
        if item.name not in ledger.entries:
            continue
        record = ledger.record(item.name)
        if record["status"] == "done":
            unusual += any(result["unusual"] for result in record["results"])
            for result in record["results"]:
                result_rows.writerows(_result(item, record, result, name) for name in result["area_pixels"])
        else:
            failure_rows.writerow([*_head(item), printable(record["error"])])
            failed.append((item.written, record["error"]))
    for name, text in ((RESULTS_FILE, results), (FAILURES_FILE, failures)):
        content = encoded(text.getvalue())
        ledger.note_table(hashlib.sha256(content).hexdigest())
        write_bytes(folder / name, content)
    return Told(unusual, tuple(failed))


def _writer(buffer: io.StringIO, columns: tuple[str, ...]) -> Any:
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    return writer


def _head(item: Item) -> list[Any]:
    return [printable(item.name), printable(item.written), "" if item.slice_index is None else item.slice_index]


def _result(item: Item, record: dict[str, Any], result: dict[str, Any], name: str) -> list[Any]:
    """A class of a picture or of a study. `unusual` counts slices, and is empty where the bundle does not know."""
    fraction, volume = result.get("area_fraction", {}).get(name), result.get("volume_ml", {}).get(name)
    return [
        *_head(item),
        printable(result.get("study", "")),
        result["slices"],
        result["width"],
        result["height"],
        printable(name),
        result["area_pixels"][name],
        "" if fraction is None else f"{fraction:.6f}",
        "" if volume is None else f"{volume:.4f}",
        "" if result["unusual"] is None else result["unusual"],
        printable(SEPARATOR.join(result["files"])),
        record["content_sha256"],
        NOTICE,
    ]
