"""What became of every study, on the disk before anybody is told: a database of one table.

A study that changes after it was begun gets a new row, its next version. The rows of one study end with the one that
counts.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from s2m_edge.errors import InputError

State = Literal["received", "complete", "done", "sent", "unsent", "failed"]
"""received: instances come; complete: none came for a while, it waits for its turn or has it; done: its result is in
place; sent: the destination has it; unsent: the destination did not take it; failed: there is no result, and why."""

_VERSION = 1
_TABLE = f"""
create table studies (
    uid text not null,
    version integer not null check (version > 0),
    state text not null check (state in {get_args(State)}),
    instances integer not null,
    digest text not null,
    attempts integer not null,
    remark text not null,
    changed real not null,
    primary key (uid, version)
)"""
_LATEST = "version = (select max(version) from studies as later where later.uid = studies.uid)"


@dataclass(frozen=True)
class Entry:
    """One version of a study.

    Attributes:
        uid: of the study.
        version: from 1.
        state: see `State`.
        instances, digest: what it holds, from the moment on at which it was complete.
        attempts: how often its work was begun.
        remark: why it failed or was not sent.
        changed: seconds since 1970.
    """

    uid: str
    version: int = 1
    state: State = "received"
    instances: int = 0
    digest: str = ""
    attempts: int = 0
    remark: str = ""
    changed: float = 0.0

    @property
    def folder(self) -> str:
        """The name of its result's folder. A hyphen is in no UID."""
        return self.uid if self.version == 1 else f"{self.uid}-{self.version}"


class Ledger:
    """The database. Threads may share it; every change is on the disk when its method returns.

    Raises:
        InputError: the file is no ledger, or one of a newer version.
        sqlite3.OperationalError: of any method: the disk is full.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        try:
            self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._database.execute("pragma synchronous = full")
            version = int(self._database.execute("pragma user_version").fetchone()[0])
            if version == 0:
                self._database.execute("begin immediate")
                self._database.execute(_TABLE)
                self._database.execute(f"pragma user_version = {_VERSION}")
                self._database.execute("commit")
        except sqlite3.DatabaseError as error:
            raise InputError(
                f"the ledger {path} cannot be opened ({error})", "Move it away; studies in the inbox are begun again."
            ) from None
        if version > _VERSION:
            raise InputError(f"the ledger {path} is of a newer s2m-edge", "Update, or choose another folder.")

    def close(self) -> None:
        with self._lock:
            self._database.close()

    def latest(self, uid: str) -> Entry | None:
        """A study's last version."""
        found = self._select("uid = ? order by version desc limit 1", uid)
        return found[0] if found else None

    def put(self, entry: Entry) -> Entry:
        """Write a version down, in place of what was said of it before."""
        written = replace(entry, changed=time.time())
        with self._writing() as database:
            names = Entry.__dataclass_fields__
            database.execute(
                f"insert or replace into studies ({', '.join(names)}) values ({', '.join('?' * len(names))})",
                [getattr(written, name) for name in names],
            )
        return written

    def drop(self, entry: Entry) -> None:
        """Forget a version that turned out to be none."""
        with self._writing() as database:
            database.execute("delete from studies where uid = ? and version = ?", (entry.uid, entry.version))

    def in_state(self, *states: State) -> list[Entry]:
        """Versions in one of these states, the one that is so for longest first."""
        marks = ", ".join("?" * len(states))
        return self._select(f"state in ({marks}) order by changed, uid, version", *states)

    def settled(self, *states: State) -> list[Entry]:
        """Studies whose last version is in one of these states, the one that is so for longest first."""
        marks = ", ".join("?" * len(states))
        return self._select(f"state in ({marks}) and {_LATEST} order by changed, uid", *states)

    def _select(self, condition: str, *values: Any) -> list[Entry]:
        names = ", ".join(Entry.__dataclass_fields__)
        with self._lock:
            rows = self._database.execute(f"select {names} from studies where {condition}", values).fetchall()
        return [Entry(*row) for row in rows]

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            yield self._database
