"""The ledger of an archive: one line of JSON for each item that ended, on the disk before the next is told.

A line is written once and never changed; the last one of a name counts. A process that is killed while it writes leaves
a line without an end, which the next one cuts off: its item is worked on again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from s2m_edge import console
from s2m_edge.errors import InputError, OutputError
from s2m_edge.files import output_error
from s2m_edge.notice import NOTICE

LEDGER_FILE = "ledger.jsonl"
FORMAT = "s2m-edge archive ledger"
VERSION = 1


@dataclass(frozen=True)
class Entry:
    """What is known of an item without reading its line again.

    Attributes:
        key: of what was worked on, and how; see `job.key_of`.
        done: whether it ended well.
        at: where its line begins, in bytes.
    """

    key: str
    done: bool
    at: int


class Ledger:
    """An open ledger. It belongs to the one process that holds the archive's lock.

    Attributes:
        path: of the file.
        entries: by the item's name, the last line of each.
        tables: SHA-256 of the tables that were written beside it.
    """

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path, self._file = path, file
        self.entries: dict[str, Entry] = {}
        self.tables: set[str] = set()

    def append(self, record: Mapping[str, Any]) -> None:
        """Add what became of an item (`name`, `key`, `status`, and what else is known); it is on the disk afterwards.

        Raises:
            OutputError: it cannot be written.
        """
        self._note(record, self._write(record))

    def note_table(self, digest: str) -> None:
        """Remember, before a table is put in its place, that its content is ours."""
        if digest not in self.tables:
            self._write({"table": digest})
            self.tables.add(digest)

    def record(self, name: str) -> dict[str, Any]:
        """The last line of an item, whole."""
        self._file.seek(self.entries[name].at)
        return json.loads(self._file.readline())

    def _write(self, values: Mapping[str, Any]) -> int:
        try:
            at = self._file.seek(0, os.SEEK_END)
            self._file.write(json.dumps(values, ensure_ascii=True, separators=(",", ":")).encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise output_error(self.path, error) from None
        return at

    def _note(self, record: Mapping[str, Any], at: int) -> None:
        if "table" in record:
            self.tables.add(str(record["table"]))
        else:
            self.entries[str(record["name"])] = Entry(str(record["key"]), record["status"] == "done", at)

    def _load(self) -> None:
        """Read every whole line; cut off what follows the last one.

        Raises:
            InputError: a whole line is damaged.
        """
        at = 0
        self._file.seek(0)
        for number, line in enumerate(self._file, start=1):
            if not line.endswith(b"\n"):
                self._file.truncate(at)
                console.status.print(
                    f"note: {self.path} ended within a line, after an interruption; its item is worked on again",
                    soft_wrap=True,
                )
                break
            if number > 1:
                try:
                    self._note(json.loads(line), at)
                except (ValueError, KeyError, TypeError, RecursionError):
                    raise InputError(
                        f"{self.path}, line {number}, is damaged", "Remove that line: its item is worked on again."
                    ) from None
            at += len(line)


@contextmanager
def open_ledger(folder: Path) -> Iterator[Ledger]:
    """The ledger in a folder, made where there is none. The folder's lock is the caller's.

    Raises:
        OutputError: a file of that name is no ledger of ours, or it cannot be written.
        InputError: it is damaged, or of a later version.
    """
    path = folder / LEDGER_FILE
    try:
        with open(path, "a+b") as file:
            file.seek(0)
            first = file.readline()
            if not first.endswith(b"\n"):
                if first and not _header().startswith(first):
                    raise _foreign(path)
                file.truncate(0)  # new, or killed while it was made
                file.write(_header())
                file.flush()
                os.fsync(file.fileno())
            else:
                _require_ours(first, path)
            ledger = Ledger(path, file)
            ledger._load()
            yield ledger
    except OSError as error:
        raise output_error(path, error) from None


def _header() -> bytes:
    return json.dumps({"format": FORMAT, "version": VERSION, "notice": NOTICE}).encode() + b"\n"


def _require_ours(line: bytes, path: Path) -> None:
    try:
        values = json.loads(line)
        if values["format"] != FORMAT:
            raise _foreign(path)
    except (ValueError, KeyError, TypeError, RecursionError):
        raise _foreign(path) from None
    if values.get("version") != VERSION:
        raise InputError(
            f"{path} is a ledger of version {values.get('version')}, and this is for {VERSION}",
            "Go on with the s2m-edge that wrote it, or choose another folder with --out.",
        )


def _foreign(path: Path) -> OutputError:
    return OutputError(f"{path} is there, and is no ledger of s2m-edge", "Choose another folder with --out.")
