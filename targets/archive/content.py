"""What an item of an archive, and what became of it, is recognised by: hashes of contents."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from s2m_edge.errors import ImageError
from s2m_edge.files import file_sha256, output_error
from s2m_edge.imaging.folders import is_clutter

_PAIRED = (".hdr", ".img", ".hdr.gz", ".img.gz", ".mhd", ".nhdr")


def content_hash(path: Path) -> str:
    """SHA-256 of an item's content: of its file, or over all files of a folder with their paths in it. Of formats that
    keep header and pixels in two files, those of the other are in it.

    Raises:
        ImageError: it cannot be read.
    """
    try:
        if path.is_dir():
            return _of_files((found.relative_to(path).as_posix(), found) for found in path.rglob("*"))
        paired = next((suffix for suffix in _PAIRED if path.name.lower().endswith(suffix)), None)
        if paired is not None:
            stem = path.name[: -len(paired)]
            return _of_files((found.name, found) for found in path.parent.glob(f"{glob.escape(stem)}.*"))
        return file_sha256(path)
    except OSError as error:
        raise ImageError(f"{path} cannot be read ({error.strerror or error})", "Check the path.") from None


def _of_files(files: Iterable[tuple[str, Path]]) -> str:
    whole = hashlib.sha256()
    for name, path in sorted(files):
        if path.is_file() and not is_clutter(path.name):
            whole.update(f"{name} {file_sha256(path)}\n".encode("utf-8", "surrogateescape"))
    return whole.hexdigest()


def settled(out: Path, names: Sequence[str]) -> list[tuple[str, str]]:
    """What was written, with its hashes, once it is on the disk: before the ledger says that it is there."""
    for name in names:
        place = out / name
        for path in (place, *place.rglob("*")) if place.is_dir() else (place,):
            if path.is_file():
                try:
                    handle = os.open(path, os.O_RDWR)
                    try:
                        os.fsync(handle)
                    finally:
                        os.close(handle)
                except OSError as error:
                    raise output_error(path, error) from None
    return [(name, content_hash(out / name)) for name in names]
