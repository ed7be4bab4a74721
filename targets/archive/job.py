"""The terms of an archive's work: what is asked for, what is known, and what became of an item."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from s2m_edge import __version__
from s2m_edge.deploy.bundle import Bundle
from s2m_edge.deploy.contract import CONTRACT_FILE
from s2m_edge.files import file_sha256
from s2m_edge.targets.archive.content import content_hash
from s2m_edge.targets.archive.manifest import Item
from s2m_edge.texts import printable

Status = Literal["done", "skipped", "failed"]


@dataclass(frozen=True)
class Options:
    """How every item of an archive is worked on.

    Attributes:
        plane: of volumes; the reader's own choice where None.
        volume, threshold: as `predict_image` takes them.
        proved: whether the bundle has to have passed its gate.
        overwrite: whether files that are there may be replaced.
        max_pixels: of a picture; the process's limit where None.
        formats: of the results of studies, names of `study_formats`; pictures alone where empty, folders as PNG.
        slices: which of each study; all where None.
        codes: a file of codes for DICOM-SEG.
        seg_type: how DICOM-SEG stores its pixels.
    """

    plane: str | None = None
    volume: int | None = None
    threshold: float | None = None
    proved: bool = True
    overwrite: bool = False
    max_pixels: int | None = None
    formats: tuple[str, ...] = ()
    slices: range | None = None
    codes: Path | None = None
    seg_type: str = "binary"

    @property
    def cut(self) -> str:
        """As `Source` takes it."""
        plane = self.plane or "axial"
        return "" if (plane, self.volume) == ("axial", None) else f"{plane} {self.volume or 0}"

    def shaping(self) -> dict[str, Any]:
        """What changes an item's results, as JSON values."""
        return {
            "plane": self.plane,
            "volume": self.volume,
            "threshold": self.threshold,
            "proved": self.proved,
            "formats": list(self.formats),
            "slices": None if self.slices is None else [self.slices.start, self.slices.stop],
            "codes": "" if self.codes is None else content_hash(self.codes),
            **({} if self.seg_type == "binary" else {"seg_type": self.seg_type}),  # archives of before have none
        }


@dataclass(frozen=True)
class Known:
    """What the ledger has of an item that ended well once.

    Attributes:
        key: of that time.
        content: SHA-256 of its content at that time.
        files: what was written for it, files and folders: path in the archive's folder, and SHA-256.
    """

    key: str
    content: str
    files: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Job:
    """An item, and what is known of it."""

    item: Item
    known: Known | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of an item.

    Attributes:
        record: the ledger's line; of a skipped item its name alone.
        fatal: why no item at all can be worked on; `record` is empty then.
    """

    status: Status
    record: Mapping[str, Any] = field(default_factory=dict)
    fatal: str = ""


def bundle_hash(bundle: Bundle) -> str:
    """SHA-256 of a bundle's contract, which holds those of all its other files."""
    return file_sha256(bundle.folder / CONTRACT_FILE)


def key_of(item: Item, content: str, bundle: str, options: Options) -> str:
    """What an item is skipped by: SHA-256 over its content, its slice, its name, the bundle and what changes a mask.

    Args:
        content: SHA-256 of the item's file.
        bundle: of `bundle_hash`.
    """
    identity = {"content": content, "bundle": bundle, "name": item.name, "slice": item.slice_index}
    identity |= options.shaping()
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def failed_outcome(job: Job, cause: str) -> Outcome:
    """Of an item whose process ended."""
    return failed(job, "", "", f"{job.item.path} failed ({cause})")


def failed(job: Job, key: str, content: str, error: str) -> Outcome:
    earlier = None if job.known is None else asdict(job.known)  # what lies there is still ours to replace
    ended = {"content_sha256": content, "error": printable(error), "earlier": earlier}
    return Outcome("failed", {**head_of(job.item, key, "failed"), **ended})


def known_of(record: Mapping[str, Any]) -> Known | None:
    """What a line of the ledger says of an item that ended well, then or at an earlier time."""
    if record["status"] == "done":
        return Known(record["key"], record["content_sha256"], _pairs(record["files"]))
    earlier = record.get("earlier")
    return None if earlier is None else Known("", earlier["content"], _pairs(earlier["files"]))


def _pairs(files: Iterable[Sequence[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, digest) for name, digest in files)


def head_of(item: Item, key: str, status: Status) -> dict[str, Any]:
    return {
        "name": item.name,
        "path": item.written,
        "slice": item.slice_index,
        "status": status,
        "key": key,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": printable(platform.node()),
        "s2m_edge": __version__,
    }
