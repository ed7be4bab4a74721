"""Private folders and files beside a place, and what killed processes left of theirs.

A private folder is called `.NAME.partial-ID` (what is being written) or `.NAME.old-ID` (what is being replaced), and
holds a lock file besides the folder itself. Its process holds the lock as long as it lives, however it ends, so that a
lock which can be taken belongs to nobody. Locks are not seen from one machine to the next on every network drive: the
lock file says whose machine it is, and a folder of another machine is left alone. A private file is locked itself, and
its ID begins with its machine's.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
import re
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, Literal

LOCK = ".lock"
DAY = 86_400.0
"""Seconds after which a private folder of another machine is worth a word."""

FILE_MOMENT = 10.0
"""Seconds within which a new private file has its lock."""

_FILE = re.compile(r"(\..+)?\.partial-(?P<machine>[0-9a-f]{3})[0-9a-f]{5}")
_PRIVATE = re.compile(r"\.(?P<name>.+)\.(?P<kind>partial|old)-[0-9a-z_]{8}")


@contextmanager
def private_folder(final: Path, kind: Literal["partial", "old"]) -> Iterator[Path]:
    """A hidden folder beside `final` that is this process's own; removed at the end, whatever happens.

    Only what was moved aside stays where nothing has taken its place.

    Raises:
        OSError: the place cannot be written.
    """
    while True:
        folder = final.with_name(f".{final.name}.{kind}-{secrets.token_hex(4)}")
        folder.mkdir()
        handle: int | None = None
        try:
            handle = _locked(folder)
            if handle is None:
                continue
            yield folder
            return
        finally:
            if handle is not None:
                os.close(handle)
            with suppress(OSError):
                if kind == "partial" or final.exists():  # else it holds all that there is, for the next repair
                    _remove(folder)


def file_mark() -> str:
    """The end of a private file's name, ".partial-ID". Whoever makes the file locks it with `mark_ours`."""
    return f".partial-{_machine_number()}{secrets.token_hex(3)[:5]}"


def mark_ours(handle: int) -> None:
    """Lock a private file until it is closed, where the file system has locks."""
    _lock(handle)


@contextmanager
def held(path: Path) -> Iterator[bool]:
    """The lock of a file, which is made where there is none; the system gives it back however this process ends.

    Yields:
        False where another process has it. True also where there are no locks, as on some network drives.

    Raises:
        OSError: the file cannot be made.
    """
    handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o666)
    try:
        yield _lock(handle) or _knows_no_locks(handle)
    finally:
        os.close(handle)


def _knows_no_locks(handle: int) -> bool:
    """Of a file whose lock could not be taken: whether its file system has none, and nobody else holds it."""
    if sys.platform == "win32":
        return False
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EWOULDBLOCK, errno.EACCES)
    return True


def _locked(folder: Path) -> int | None:
    """The open and locked lock file of a new folder; None where a repair took the empty folder for a leftover."""
    try:
        handle = os.open(folder / LOCK, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
    except FileNotFoundError:
        return None
    _lock(handle, wait=True)  # a repair that looks at it just now
    os.write(handle, json.dumps({**_this_machine(), "process": os.getpid()}).encode())
    if (folder / LOCK).exists():
        return handle
    os.close(handle)
    return None


def repair(parent: Path) -> str:
    """Put back what a killed process had moved aside in `parent`, and remove what it had not finished.

    Returns:
        One sentence that says what was done and what is left to do, or an empty text. Nothing here raises: what cannot
        be repaired is left as it is.
    """
    done: list[str] = []
    removed = size = 0
    files = _remove_files(parent)
    with suppress(OSError):
        found = [(path, match) for path in parent.iterdir() if (match := _PRIVATE.fullmatch(path.name))]
        # What was moved aside comes first, the newest of several before the others.
        found.sort(key=lambda entry: (entry[1]["kind"] != "old", -entry[0].lstat().st_mtime))
        for folder, match in found:
            if folder.is_symlink() or not folder.is_dir():
                continue
            with suppress(OSError), _taken(folder) as state:
                inside, place = folder / match["name"], parent / match["name"]
                missing = match["kind"] == "old" and inside.is_dir() and not os.path.lexists(place)
                if state == "elsewhere" and (missing or _age(folder) > DAY):
                    done.append(f"left {folder.name} alone, which is of another machine")
                elif missing and state in ("stale", "unmarked"):
                    inside.rename(place)
                    done.append(f"put {match['name']} back")
                if state == "stale":
                    size += sum(path.lstat().st_size for path in folder.rglob("*"))
                    _remove(folder)
                    removed += 1
                elif state == "unmarked":  # killed before it had its lock: an empty folder
                    _remove_empty(folder)
    if removed:
        folders = "an unfinished folder" if removed == 1 else f"{removed} unfinished folders"
        done.append(f"removed {folders} ({size / 1e6:.1f} MB)")
    if files:
        done.append("removed an unfinished file" if files == 1 else f"removed {files} unfinished files")
    return f"note: after an interruption in {parent}: {', '.join(done)}" if done else ""


def _remove_files(parent: Path) -> int:
    """Remove the private files of this machine's processes that live no more; how many those were."""
    count = 0
    with suppress(OSError):
        found = [(path, match) for path in parent.iterdir() if (match := _FILE.fullmatch(path.name))]
        for path, match in found:
            if match["machine"] != _machine_number() or path.is_symlink() or not path.is_file():
                continue
            with suppress(OSError):
                handle = os.open(path, os.O_RDWR)
                try:
                    if _age(path) > FILE_MOMENT and _lock(handle):
                        path.unlink()
                        count += 1
                finally:
                    os.close(handle)
    return count


def remove_unfinished(parent: Path, ended: Callable[[str], bool]) -> int:
    """Remove what was being written in `parent` for places whose work has ended, on whatever machine that was.

    For a caller who knows that nobody works on them any more: `repair` leaves alone what another machine may be
    writing. What a living process has locked stays.

    Args:
        ended: whether the work on a place is over, by its name in `parent`.

    Returns:
        How many files and folders. Nothing here raises: what cannot be removed stays.
    """
    count = _remove_files(parent)  # names too long to tell whose they are among them
    with suppress(OSError):
        for path in list(parent.iterdir()):
            found = _PRIVATE.fullmatch(path.name)  # files too: their ID is one of a folder's
            if found is None or found["kind"] != "partial" or path.is_symlink() or not ended(found["name"]):
                continue
            with suppress(OSError):
                count += _remove_unlocked(path)
    return count


def _remove_unlocked(path: Path) -> bool:
    """Remove a private file or folder, unless a living process has its lock; whether that was done.

    Raises:
        OSError: it cannot be removed.
    """
    lock = path / LOCK if path.is_dir() else path
    if not lock.exists():  # killed before it had one
        path.rmdir()
        return True
    handle = os.open(lock, os.O_RDWR)
    try:
        if not (_lock(handle) or _knows_no_locks(handle)):
            return False
        if path.is_dir():
            _remove(path)
        else:
            path.unlink()
    finally:
        os.close(handle)
    return True


@contextmanager
def _taken(folder: Path) -> Iterator[Literal["stale", "live", "elsewhere", "unmarked"]]:
    """Whose a private folder is. What is stale stays locked within, so that two repairs do not meet."""
    try:
        handle = os.open(folder / LOCK, os.O_RDWR)
    except FileNotFoundError:
        yield "unmarked"
        return
    try:
        locked = _lock(handle)
        try:
            owner = json.loads(os.read(handle, 4096))
        except ValueError:  # its process has not written it yet
            owner = None
        if owner is not None and not _is_here(owner):
            yield "elsewhere"
        elif not locked:
            yield "live"
        else:
            yield "unmarked" if owner is None else "stale"  # no mark yet: see `_locked`
    finally:
        os.close(handle)


def _lock(handle: int, *, wait: bool = False) -> bool:
    """Take the lock of an open file until it is closed; False where another process has it, or there are no locks."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


@cache
def _this_machine() -> dict[str, str]:
    """What tells this machine from others: its name and number, and that of its start, which containers share."""
    return {
        "host": platform.node(),
        "machine": _first_line("/etc/machine-id"),
        "start": _first_line("/proc/sys/kernel/random/boot_id"),
    }


@cache
def _machine_number() -> str:
    """Three digits that tell this machine's private files from another's."""
    return hashlib.sha256(json.dumps({**_this_machine(), "start": ""}).encode()).hexdigest()[:3]


def _is_here(owner: Any) -> bool:
    """Whether a lock file's process runs, or ran, where this one does: same start, or same machine before it."""
    here = _this_machine()
    if not isinstance(owner, dict):
        return False
    same_start = here["start"] != "" and owner.get("start") == here["start"]
    return same_start or (owner.get("host"), owner.get("machine")) == (here["host"], here["machine"])


def _first_line(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _age(folder: Path) -> float:
    return time.time() - folder.lstat().st_mtime


def _remove(folder: Path) -> None:
    """Remove a private folder, the mark of whose it is last: half removed, it can still be told."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()
    shutil.rmtree(folder)


def _remove_empty(folder: Path) -> None:
    lock = folder / LOCK
    if lock.is_file() and lock.stat().st_size == 0:
        lock.unlink()
    folder.rmdir()
