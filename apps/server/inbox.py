"""The folder of what was received: STUDY/SERIES/INSTANCE.dcm, each name a UID, each file whole or not there."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from s2m_edge.apps.server.uids import is_uid
from s2m_edge.files import LONGEST_NAME, names_to_disk, tidy
from s2m_edge.leftovers import file_mark, mark_ours

_SUFFIX = ".dcm"
_WORK = ".work"
_GROUP_LENGTH = 140  # offset of its value: preamble, DICM, tag, VR, length (PS3.10 7.1)
_CHUNK = 2**20


@dataclass(frozen=True)
class Contents:
    """What there is of a study: how many instances, and a hash over their UIDs, by which two states are told apart."""

    instances: int
    digest: str


class FullError(Exception):
    """The inbox takes no more; the text says why."""


class ConflictError(Exception):
    """Another instance with the same UID is there."""


class Inbox:
    """One folder, of one process. Threads may share it.

    Args:
        folder: one that is there.
        room: bytes that all instances may take.
        reserve: bytes that stay free on the disk.

    Attributes:
        used: bytes of all instances.

    Raises:
        OSError: it cannot be read.
    """

    def __init__(self, folder: Path, room: int, reserve: int) -> None:
        self.folder, self.room, self.reserve = folder, room, reserve
        self._lock = threading.Lock()
        shutil.rmtree(folder / _WORK, ignore_errors=True)
        for place in (folder, *(path for path in folder.glob("*/*") if path.is_dir())):
            tidy(place)
        self.used = sum(path.stat().st_size for path in folder.glob(f"*/*/*{_SUFFIX}"))

    def studies(self) -> list[str]:
        """UIDs of the studies of which there is an instance."""
        return sorted(path.name for path in self.folder.iterdir() if is_uid(path.name) and self._files(path.name))

    def contents(self, study: str) -> Contents:
        return _contents(self._files(study))

    def store(self, study: str, series: str, instance: str, parts: Sequence[bytes | memoryview]) -> bool:
        """Put an instance there; it is on the disk when this returns.

        Args:
            study, series, instance: UIDs, checked.
            parts: of the file, the last one its data set.

        Returns:
            False where the same instance was there before.

        Raises:
            ConflictError: one with the same UID and another content is there.
            FullError, OSError: there is no room.
        """
        assert is_uid(study)
        assert is_uid(series)
        assert is_uid(instance)
        size = sum(len(part) for part in parts)
        path = self.folder / study / series / f"{instance}{_SUFFIX}"
        if path.exists():
            return self._same(path, parts[-1])
        self._reserve(size)
        stored = False
        try:
            if shutil.disk_usage(self.folder).free < size + self.reserve:
                raise FullError(f"the disk has less than {self.reserve / 1e6:.0f} MB left")
            self._make(path.parent)
            temporary = path.with_name((f".{path.name}")[: LONGEST_NAME // 2] + file_mark())
            try:
                with open(temporary, "xb") as file:
                    mark_ours(file.fileno())
                    for part in parts:
                        file.write(part)
                    file.flush()
                    os.fsync(file.fileno())
                with self._lock:
                    if path.exists():
                        return self._same(path, parts[-1])
                    temporary.rename(path)
                stored = True
                names_to_disk(path.parent)
            finally:
                with suppress(OSError):
                    temporary.unlink(missing_ok=True)
        finally:
            if not stored:
                self._release(size)
        return True

    @contextmanager
    def snapshot(self, study: str) -> Iterator[tuple[Path, Contents]]:
        """A folder of the study as it is now, whatever arrives meanwhile, and what it holds; gone at the end."""
        place = self.folder / _WORK / study
        shutil.rmtree(place, ignore_errors=True)
        files = self._files(study)
        try:
            for path in files:
                copy = place / path.relative_to(self.folder / study)
                copy.parent.mkdir(parents=True, exist_ok=True)
                try:
                    os.link(path, copy)
                except OSError as error:
                    if error.errno == errno.ENOSPC:
                        raise
                    shutil.copyfile(path, copy)  # a drive without hard links
            yield place, _contents(files)
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def remove(self, study: str) -> None:
        """Take a study's instances away."""
        assert is_uid(study)
        with self._lock:
            size = sum(path.stat().st_size for path in self._files(study))
            shutil.rmtree(self.folder / study)
            self.used -= size

    def lacks(self, size: int) -> bool:
        """Whether so many bytes more would be more than the room."""
        return self.used + size > self.room

    def _files(self, study: str) -> list[Path]:
        found = (self.folder / study).glob(f"*/*{_SUFFIX}")
        return sorted(path for path in found if is_uid(path.name.removesuffix(_SUFFIX)))

    def _reserve(self, size: int) -> None:
        with self._lock:
            if self.lacks(size):
                raise FullError(f"the inbox has {self.room / 1e9:g} GB, which are taken")
            self.used += size

    def _release(self, size: int) -> None:
        with self._lock:
            self.used -= size

    def _make(self, folder: Path) -> None:
        """Folders down from the inbox, each on the disk before anything is in it."""
        for place in (folder.parent, folder):
            if not place.is_dir():
                place.mkdir(exist_ok=True)
                names_to_disk(place.parent)

    def _same(self, path: Path, data: bytes | memoryview) -> bool:
        """False where a file holds this data set; what stands before it differs from one sender to the next."""
        with path.open("rb") as file:
            head = file.read(_GROUP_LENGTH + 4)
            file.seek(len(head) + int.from_bytes(head[_GROUP_LENGTH:], "little"))
            held = hashlib.sha256()
            while chunk := file.read(_CHUNK):
                held.update(chunk)
        if held.digest() != hashlib.sha256(data).digest():
            raise ConflictError
        return False


def _contents(files: Sequence[Path]) -> Contents:
    names = "\n".join(f"{path.parent.name}/{path.name}" for path in files)
    return Contents(len(files), hashlib.sha256(names.encode()).hexdigest())
