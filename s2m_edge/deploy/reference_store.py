"""Recorded references by their content: a folder of files called SHA256.safetensors, none of which ever changes.

A file's name is the hash of its bytes, so that a changed one is known, two of the same name are the same, and a new
recording never stands in the way of an old one. There is no index: what is asked about a folder is read from its files.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from s2m_edge.deploy.recording import REMEDY, Record, parse_record, record_content
from s2m_edge.errors import ContractError
from s2m_edge.files import file_sha256, require_writable, write_bytes

STORE = Path("references")
"""Where references lie unless another folder is named."""
SUFFIX = ".safetensors"
_NAME = re.compile(rf"[0-9a-f]{{64}}{re.escape(SUFFIX)}")


def keep_record(folder: Path, record: Record) -> Path:
    """Put a record into a folder, under its hash; a file of that hash stays as it is.

    Raises:
        ContractError: a file of that name is there, and is another.
        OutputError: the place cannot be written.
    """
    content = record_content(record)
    path = folder / f"{hashlib.sha256(content).hexdigest()}{SUFFIX}"
    require_writable(folder)
    if path.exists():
        _require_own_name(path)
    else:
        write_bytes(path, content)
    return path


def read_record(path: Path) -> Record:
    """A record of a store.

    Raises:
        ContractError: missing, damaged, no record, or not what was recorded under this name.
    """
    if path.is_file() and _NAME.fullmatch(path.name):
        _require_own_name(path)
        return parse_record(path)
    record = parse_record(path)
    _require_own_name(path)
    return record


def stored_records(folder: Path) -> Iterator[tuple[Path, Record]]:
    """Every record of a folder, in the order of their names; none where there is no folder.

    Raises:
        ContractError: a file that ends like one is none (see `read_record`), or the folder cannot be read.
    """
    for path in record_files(folder):
        yield path, read_record(path)


def record_files(folder: Path) -> list[Path]:
    """What in a folder ends like a record.

    Raises:
        ContractError: it cannot be read.
    """
    if not folder.exists():
        return []
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == SUFFIX)
    except OSError as error:
        raise ContractError(
            f"{folder} cannot be read ({error.strerror or error})", "Give the folder of the references."
        ) from None


def latest_by_device(folder: Path, record: Record) -> list[tuple[Path, Record]]:
    """The last record of the same network by each device that has one, the newest first."""
    of_network = [entry for entry in stored_records(folder) if entry[1].same_network(record)]
    of_network.sort(key=lambda entry: (entry[1].recorded, entry[0].name))
    latest = {entry[1].device: entry for entry in of_network}
    return sorted(latest.values(), key=lambda entry: entry[1].recorded, reverse=True)


def _require_own_name(path: Path) -> None:
    try:
        digest = file_sha256(path)
    except OSError as error:
        raise ContractError(f"{path} cannot be read ({error.strerror or error})", REMEDY) from None
    if path.name == f"{digest}{SUFFIX}":
        return
    if _NAME.fullmatch(path.name):
        raise ContractError(
            f"{path} is not what was recorded under this name: its SHA-256 is {digest[:12]}...",
            "Put the original back, or remove it and record it again with s2m-edge reference record.",
        )
    raise ContractError(
        f"{path} is not named by its content, so that nothing tells whether it was changed",
        f"Call it {digest}{SUFFIX} if you know that it was not; else record it again with s2m-edge reference record.",
    )
