"""A study's folder of results: written beside, put in place in one step, and known again after a kill."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from s2m_edge.apps.server.inbox import Contents
from s2m_edge.apps.server.ledger import Entry
from s2m_edge.errors import OutputError
from s2m_edge.files import FolderKind, names_to_disk, publish_folder, staged_folder, to_disk, write_json
from s2m_edge.notice import NOTICE

RECORD = "study.json"
"""What a folder of results is of."""

Heed = Callable[[], None]
"""Called now and then by long work; raises where the server is to end."""


@dataclass(frozen=True)
class Outcome:
    """What became of a study: the files that were written, and what a person should know besides."""

    files: tuple[Path, ...]
    remarks: tuple[str, ...] = ()


Segment = Callable[[Path, Path, Heed], Outcome]
"""Segments the DICOM files below a folder into another one; raises where there is nothing to show."""


def _files(folder: Path) -> Collection[str]:
    record = read_record(folder)
    return () if record is None else (RECORD, *record.get("files", ()))


RESULTS = FolderKind("a study's results", _files)


def read_record(folder: Path) -> dict[str, Any] | None:
    """What a folder of results says of itself; None where it is none."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None


def contents_of_result(folder: Path, entry: Entry) -> Contents | None:
    """What the result of a version of a study was made from; None where a folder is not that result."""
    record = read_record(folder)
    if record is None or (record.get("study"), record.get("version")) != (entry.uid, entry.version):
        return None
    return Contents(int(record.get("instances", 0)), str(record.get("digest", "")))


def publish(
    segment: Segment, source: Path, contents: Contents, entry: Entry, out: Path, made_by: dict[str, Any], heed: Heed
) -> Outcome:
    """Segment a study and put its results into `out`/`entry.folder`.

    Args:
        source: a folder of its instances, which does not change.
        made_by: what the record says of the network.

    Returns:
        The files in their place.

    Raises:
        OutputError: the place cannot be written, or is taken by something else.
        Whatever `segment` and `heed` raise; nothing is in place then.
    """
    final = out / entry.folder
    if os.path.lexists(final):
        raise OutputError(f"{final} is there, and is not this study's result", "Move it elsewhere.")
    with staged_folder(final, RESULTS) as stage:
        outcome = segment(source, stage, heed)
        written = [path.relative_to(stage) for path in outcome.files]
        record = {
            "notice": NOTICE,
            "study": entry.uid,
            "version": entry.version,
            "instances": contents.instances,
            "digest": contents.digest,
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "files": sorted(path.as_posix() for path in written),
            "remarks": list(outcome.remarks),
            **made_by,
        }
        write_json(stage / RECORD, record)
        to_disk(stage)
        heed()
        publish_folder(stage, final, RESULTS)
        names_to_disk(final.parent)
    return Outcome(tuple(final / path for path in written), outcome.remarks)
