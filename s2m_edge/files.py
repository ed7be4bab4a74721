"""Writing beside and putting in place, so that nothing half-written appears and nothing that was there is lost."""

from __future__ import annotations

import errno
import glob
import hashlib
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from s2m_edge import interrupts
from s2m_edge.errors import ConfigurationError, InputError, OutputError, S2MEdgeError, causes, in_one_line
from s2m_edge.exchange import exchange
from s2m_edge.leftovers import LOCK, file_mark, held, mark_ours, private_folder, repair
from s2m_edge.texts import json_text

_FULL = (errno.ENOSPC, errno.EDQUOT)
_REFUSED = (*_FULL, errno.EFBIG, errno.EROFS)
"""What only writing meets."""

_SYSTEM_FILES = (".DS_Store", "Thumbs.db", "desktop.ini")
"""What file managers put into every folder that they show; nobody's work."""

LONGEST_NAME = 255
"""Bytes of a file's name, on every common file system."""

_MEBIBYTE = 2**20


@dataclass(frozen=True)
class FolderKind:
    """A kind of folder that this toolkit writes. One that is there is replaced only if every file in it is ours.

    Attributes:
        name: what errors call it, with its article.
        files: of a folder that is there: the files in it that are ours, as patterns of fnmatch over their paths in it.
        place: how a user chooses another place for it.
    """

    name: str
    files: Callable[[Path], Collection[str]]
    place: str = "choose another place with --out"


def exactly(name: str) -> str:
    """The pattern of one path, whatever characters it is made of."""
    return glob.escape(name)


def foreign_file(folder: Path, kind: FolderKind) -> str | None:
    """The first file in a folder, by its path in it, that is not ours; None where all are."""
    patterns = kind.files(folder)
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if (path.is_dir() and not path.is_symlink()) or path.name in _SYSTEM_FILES:
            continue
        if not any(fnmatchcase(name, pattern) for pattern in patterns):
            return name
    return None


def require_replaceable(folder: Path, kind: FolderKind) -> None:
    """Raise OutputError if `folder` holds a file that is not ours and would be lost."""
    if folder.is_dir():
        found = foreign_file(folder, kind)
        if found is not None:
            raise OutputError(
                f"{folder} exists and is not {kind.name} alone: it holds {found}",
                f"Move that file elsewhere, or {kind.place}.",
            )
    elif folder.exists():
        raise OutputError(f"{folder} exists and is not {kind.name}", f"Remove it, or {kind.place}.")


def output_error(path: Path, error: OSError, place: str = FolderKind.place) -> OutputError:
    """The one-line error for an output place that fails.

    Args:
        place: how a user chooses another.
    """
    if error.errno in _FULL:
        return OutputError(f"the disk is full while writing {path}", f"Make room, or {place}.")
    reason = error.strerror or str(error)
    if error.errno == errno.ENAMETOOLONG:
        return OutputError(f"{path} cannot be written ({reason})", "Choose a shorter name.")
    return OutputError(f"{path} cannot be written ({reason})", f"{place[0].upper()}{place[1:]}.")


@contextmanager
def staged_folder(final: Path, kind: FolderKind) -> Iterator[Path]:
    """A private folder beside `final`; the caller moves it with `publish_folder`. What is left of it is removed.

    What a killed process left beside `final` is put back or removed first, and a line on standard error says so.

    Raises:
        OutputError: the place cannot be written, or holds something that would be lost.
        InputError: within, a file elsewhere could not be read.
    """
    final = _behind_link(final)
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        tidy(final.parent)
        require_replaceable(final, kind)
        with private_folder(final, "partial") as private:
            stage = private / final.name
            stage.mkdir()
            yield stage
    except OSError as error:
        raise _staging_error(error, final, kind) from None


def publish_folder(stage: Path, final: Path, kind: FolderKind) -> None:
    """Put `stage` at `final` in one step. At every moment the old folder or the new one is there, whole.

    Where the system cannot exchange two folders it takes two renames; a process that is killed between them leaves the
    old folder hidden beside its place, and the next `staged_folder` or `require_writable` there puts it back.

    Args:
        stage: within a `staged_folder` of the same file system. The old folder is there afterwards, if anywhere.

    Raises:
        KeyboardInterrupt: this command was asked to end; nothing was moved.
        OutputError: `final` holds a file that is not ours; nothing was moved.
        OSError: it cannot be moved; what was there is there.
    """
    interrupts.heed()
    final = _behind_link(final)
    _as_umask_says(stage)
    require_replaceable(final, kind)
    if not final.exists():
        try:
            stage.rename(final)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            require_replaceable(final, kind)  # another process was first
    to_disk(stage)  # or a power cut could leave empty files in place of good ones
    if exchange(stage, final):
        return
    with private_folder(final, "old") as private:
        old = private / final.name
        try:
            final.rename(old)
            stage.rename(final)
        finally:
            if old.exists() and not final.exists():
                old.rename(final)


def tidy(folder: Path) -> None:
    """Put back or remove what killed processes left in a folder, and say so in one line on standard error."""
    done = repair(folder)
    if done:
        from s2m_edge import console

        console.status.print(done, soft_wrap=True)


def _behind_link(final: Path) -> Path:
    """A link stays, and what it leads to is replaced."""
    return Path(os.path.realpath(final)) if final.is_symlink() else final


def _as_umask_says(folder: Path) -> None:
    """Give a finished folder the permissions that new files have here: backends and copies bring their own.

    What may be executed stays so.
    """
    probe = folder.parent / f".mode-{secrets.token_hex(4)}"
    probe.mkdir()
    allowed = probe.stat().st_mode & 0o777
    probe.rmdir()
    for path in (folder, *folder.rglob("*")):
        if path.is_symlink():
            continue
        mode = path.stat().st_mode & 0o7777
        base = 0o777 if path.is_dir() or mode & 0o111 else 0o666
        wanted = (mode & 0o7000) | (base & allowed)
        if mode != wanted:
            with suppress(OSError):  # a drive that has permissions of its own
                path.chmod(wanted)


def to_disk(folder: Path) -> None:
    """Wait until all that is in a folder is on the disk, names too."""
    for path in (folder, *folder.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            names_to_disk(path)
        elif path.is_file() and not path.is_symlink():
            handle = os.open(path, os.O_RDWR)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def names_to_disk(folder: Path) -> None:
    """Wait until a folder's own entries are on the disk, what was renamed in it, where the system lets one."""
    with suppress(PermissionError):  # Windows opens no folders
        handle = os.open(folder, os.O_RDONLY)
        try:
            with suppress(OSError):  # nor does every network drive flush one
                os.fsync(handle)
        finally:
            os.close(handle)


def _staging_error(error: OSError, final: Path, kind: FolderKind) -> S2MEdgeError:
    """Whose fault an OSError is: that of the place, or of a file elsewhere that was to be read or copied."""
    error = _first_of_many(error)
    named = _paths(error)
    ours = [path for path in named if _belongs_to(path, final)]
    if error.errno in _REFUSED:
        elsewhere = _full_temporary_folder(final) if not named else None if ours else named[0]
        if elsewhere is not None:
            return output_error(elsewhere, error, "name another folder for temporary files with TMPDIR")
        return output_error(final, error, kind.place)
    if named and not ours:
        return InputError(
            f"{named[0]} cannot be read ({error.strerror})", "Check that it is there and that you may read it."
        )
    if error.errno is None:  # a library that the loader does not find is one
        return InputError(in_one_line(error), "Run s2m-edge doctor to see what is installed.")
    return output_error(final, error, kind.place)


def _paths(error: OSError) -> list[Path]:
    """What an OSError names, the target of a copy before its source."""
    names = (error.filename2, error.filename)
    return [Path(os.path.abspath(os.fsdecode(name))) for name in names if isinstance(name, str | bytes | Path)]


def _belongs_to(path: Path, final: Path) -> bool:
    """Whether a path is that of a place, of what is staged for it, or of a folder above it."""
    place = Path(os.path.abspath(final))
    if path.is_relative_to(place) or place.is_relative_to(path):
        return True
    beside = path.relative_to(place.parent).parts if path.is_relative_to(place.parent) else ()
    return bool(beside) and beside[0].startswith((f".{place.name}.", f"{place.name}."))


def _first_of_many(error: OSError) -> OSError:
    """The first failure of shutil.copytree, which reports all of them as a list of tuples of texts."""
    if not isinstance(error, shutil.Error) or not error.args or not isinstance(error.args[0], list):
        return error
    for entry in error.args[0]:
        source, target, reason = entry if len(entry) == 3 else (*entry, "")[:3]
        if found := re.search(r"\[Errno (\d+)\]", str(reason)):
            number = int(found[1])
            return OSError(number, os.strerror(number), str(target if number in _REFUSED else source))
    return error


def writing_failure(error: BaseException, folder: Path, size: int) -> OSError | None:
    """The refusal to write that is behind a stranger's exception, or None where it is about something else.

    Native code often says no more than that a stream failed, so that the disk itself is asked in the end.

    Args:
        folder: where it was writing.
        size: bytes that it had to write, about.
    """
    for cause in causes(error):
        if isinstance(cause, OSError):
            first, inside = _first_of_many(cause), Path(os.path.abspath(folder))
            if first.errno in _REFUSED or any(path.is_relative_to(inside) for path in _paths(first)):
                return first
    for place in (folder, Path(tempfile.gettempdir())):
        refused = refusal(place, size)
        if refused is not None:
            return OSError(refused.errno, refused.strerror, str(place))
    return None


def refusal(folder: Path, size: int) -> OSError | None:
    """Why the system takes no file of so many bytes in a folder now: full, read-only, a limit; None where it does."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            with suppress(AttributeError):  # macOS has none
                try:
                    os.posix_fallocate(file.fileno(), 0, max(size, _MEBIBYTE))
                    return None
                except OSError as error:
                    if error.errno in _REFUSED:
                        return error  # others: the file system cannot tell beforehand
            file.write(bytes(max(size, _MEBIBYTE)))
            file.flush()
    except OSError as error:
        return error if error.errno in _REFUSED else None
    return None


def _full_temporary_folder(final: Path) -> Path | None:
    """The folder for temporary files, where it is full and the place itself is not."""
    temporary = Path(tempfile.gettempdir())
    if refusal(final.parent, _MEBIBYTE) is None and refusal(temporary, _MEBIBYTE) is not None:
        return temporary
    return None


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file beside and rename it.

    Raises:
        KeyboardInterrupt: this command was asked to end; nothing was written.
        OutputError: the place cannot be written, or the disk is full.
    """
    interrupts.heed()
    name, mark = f".{path.name}", file_mark()
    fits = len(os.fsencode(name + mark)) <= LONGEST_NAME
    temporary = path.with_name(name + mark if fits else mark)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "xb") as file:  # the umask decides who may read it
            mark_ours(file.fileno())
            file.write(content)
            if path.exists():  # or a power cut could leave an empty file in place of a good one
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise output_error(path, error) from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_json(path: Path, values: Any) -> None:
    """Write JSON values, indented, UTF-8; numbers that are not finite become strings (JSON has none)."""
    write_bytes(path, (json_text(_finite(values)) + "\n").encode())


def _finite(value: Any) -> Any:
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return str(value)
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    return value


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require_writable(folder: Path) -> None:
    """Raise OutputError now, before long work, unless `folder` can be made and written to.

    What a killed process left in it is put back or removed.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise output_error(folder, error) from None
    tidy(folder)


@contextmanager
def no_empty_folder(folder: Path) -> Iterator[None]:
    """Within, a folder of results may be made; where nothing is in it at the end, it goes again, and so do those above
    it that were not there before."""
    place = folder.absolute()
    made = [one for one in (place, *place.parents) if not os.path.lexists(one)]
    try:
        yield
    finally:
        for one in made:
            try:
                one.rmdir()
            except FileNotFoundError:  # never made
                continue
            except OSError:  # something is in it
                break


@contextmanager
def alone(folder: Path, work: str = "the run") -> Iterator[None]:
    """No other process works in a folder, within: its lock file tells them apart, and the system gives the lock back.

    Args:
        work: what is worked on there, for the message.

    Raises:
        ConfigurationError: one does.
        OutputError: the folder cannot be written.
    """
    with ExitStack() as stack:
        try:
            first = stack.enter_context(held(folder / LOCK))
        except OSError as error:
            raise output_error(folder, error) from None
        if not first:
            raise ConfigurationError(f"another process works on {work} in {folder}", "Wait for it, or end it first.")
        yield
