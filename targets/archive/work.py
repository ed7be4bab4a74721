"""One item of an archive: what is done with it, and how it is told that it was done already."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from s2m_edge import __version__
from s2m_edge.deploy.bundle import Bundle, open_bundle
from s2m_edge.deploy.contract import CONTRACT_FILE
from s2m_edge.errors import ImageError, OutputError, S2MEdgeError, in_one_line
from s2m_edge.files import file_sha256, output_error, refusal, write_bytes
from s2m_edge.imaging.folders import is_clutter
from s2m_edge.imaging.limits import allow_pixels
from s2m_edge.imaging.overlay import draw_overlay, mask_picture
from s2m_edge.imaging.planes import find_plane
from s2m_edge.imaging.written import Source, is_of, marked_png, require_free
from s2m_edge.targets.archive.manifest import Item
from s2m_edge.targets.archive.studies import DEFAULT_FORMATS, is_study, process_study
from s2m_edge.targets.base import Runner
from s2m_edge.targets.opening import open_runner, target_of
from s2m_edge.targets.predict import predict_image
from s2m_edge.texts import printable

MEBIBYTE = 2**20
_PAIRED = (".hdr", ".img", ".hdr.gz", ".img.gz", ".mhd", ".nhdr")
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


def process_item(
    opened: Bundle,
    runner: Runner,
    item: Item,
    out: Path,
    options: Options,
    *,
    content: str,
    known: Known | None = None,
) -> dict[str, Any]:
    """Segment one item; write its mask and overlay, or a study's results, flushed to the disk. The figures are the
    ledger's.

    The files hold no time of day and no duration: equal pictures give equal files, whichever process wrote them.

    Args:
        out: the archive's folder.
        content: of `content_hash`, taken just before.
        known: what was written for it earlier; that may be replaced, unless somebody changed it.

    Raises:
        ImageError, AnswerError: the picture or the artifact cannot be read or run, or its answer is no number.
        OutputError: a file cannot be written, or is somebody else's.
    """
    if is_study(item, options.formats, options.slices):
        return process_study(
            opened,
            runner,
            item,
            out,
            formats=options.formats or DEFAULT_FORMATS,
            slices=options.slices,
            codes=options.codes,
            overwrite=options.overwrite or _is_as_written(known, out),
            plane=options.plane,
            volume=options.volume,
            threshold=options.threshold,
        )
    contract, target = opened.contract, target_of(opened)
    source = Source(printable(item.path.name), content, item.slice_index, options.cut)
    stem = f"{item.name}{'' if contract.proved else '-unproved'}"
    mask, overlay = out / f"{stem}-mask.png", out / f"{stem}-overlay.png"
    for path in (mask, overlay):
        _require_free(path, source, known, options)
    done = predict_image(
        opened,
        runner,
        item.path,
        slice_index=item.slice_index,
        plane=find_plane(options.plane or "axial"),
        volume=options.volume,
        threshold=options.threshold,
    )
    labels = mask_picture(done.labels, contract.values["output"]["shape"][1])
    caption = f"{contract.values['network']['architecture']}, {target.title}, {contract.precision}"
    drawn = draw_overlay(
        done.image, done.labels, contract.classes, caption if contract.proved else f"{caption}, NOT PROVED"
    )
    for path, picture in ((mask, labels), (overlay, drawn)):
        write_bytes(path, marked_png(picture, source))
    summary = done.summary()
    files = [path.relative_to(out).as_posix() for path in (mask, overlay)]
    wanted = ("width", "height", "area_pixels", "area_fraction", "windows", "network_milliseconds")
    figures = {
        **{name: summary[name] for name in wanted},
        "slices": 1,
        "unusual": None if done.guard is None else int(done.guard.unusual),
        "files": files,
    }
    return {"results": [figures], "files": files}


def _is_as_written(known: Known | None, out: Path) -> bool:
    """Whether all that an item became earlier lies there unchanged, so that nothing of anybody's is lost with it."""
    if known is None:
        return False
    return all(not (out / name).exists() or content_hash(out / name) == digest for name, digest in known.files)


def _require_free(path: Path, source: Source, known: Known | None, options: Options) -> None:
    remedy = "Move that file elsewhere, choose another folder with --out, or add --overwrite to replace it."
    if known is not None and path.is_file():
        earlier = Source(source.name, known.content, source.slice_index, source.cut)
        if is_of(path, earlier):
            return
    require_free(path, lambda: source, remedy, overwrite=options.overwrite)


def _settled(out: Path, names: Sequence[str]) -> list[tuple[str, str]]:
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


class Worker:
    """Works on items, one after the other, in the process that made it. The first that needs the runner opens it.

    Args:
        bundle: the folder.
        out: the archive's folder.
        threads: of the CPU, for the runtime; `devices.THREAD_VARIABLES` say so to numpy.
    """

    def __init__(self, bundle: Path, out: Path, options: Options, threads: int | None) -> None:
        self.out, self.options, self.threads = out, options, threads
        allow_pixels(options.max_pixels)
        self._opened = open_bundle(bundle, proved=options.proved)
        self._hash = bundle_hash(self._opened)
        self._runner: Runner | None = None

    def work(self, job: Job) -> Outcome:
        """What became of an item. Nothing that one item does is raised: the others go on."""
        item = job.item
        key = content = ""
        began = time.perf_counter()
        try:
            content = content_hash(item.path)
            key = key_of(item, content, self._hash, self.options)
            if job.known is not None and job.known.key == key and self._there(job.known):
                return Outcome("skipped", {"name": item.name})
            if self._runner is None:
                try:
                    self._runner = open_runner(self._opened, self.threads)
                except S2MEdgeError as error:
                    return Outcome("failed", fatal=str(error))
            figures = process_item(
                self._opened, self._runner, item, self.out, self.options, content=content, known=job.known
            )
            if content_hash(item.path) != content:
                raise ImageError(f"{item.path} was changed while it was read", "Run the command again.")
            figures["files"] = _settled(self.out, figures["files"])
        except OutputError as error:
            if refusal(self.out, MEBIBYTE) is not None:  # no other item would fare better
                return Outcome("failed", fatal=str(error))
            return _failed(job, key, content, str(error))
        except S2MEdgeError as error:
            return _failed(job, key, content, str(error))
        except Exception as error:  # readers raise anything, and one file must not keep the others from being done
            return _failed(job, key, content, f"{item.path} failed ({in_one_line(error)})")
        milliseconds = round((time.perf_counter() - began) * 1e3, 1)
        head = _head(item, key, "done")
        return Outcome("done", {**head, "content_sha256": content, **figures, "milliseconds": milliseconds})

    def _there(self, known: Known) -> bool:
        return bool(known.files) and all((self.out / name).exists() for name, _ in known.files)


def failed_outcome(job: Job, cause: str) -> Outcome:
    """Of an item whose process ended."""
    return _failed(job, "", "", f"{job.item.path} failed ({cause})")


def _failed(job: Job, key: str, content: str, error: str) -> Outcome:
    earlier = None if job.known is None else asdict(job.known)  # what lies there is still ours to replace
    ended = {"content_sha256": content, "error": printable(error), "earlier": earlier}
    return Outcome("failed", {**_head(job.item, key, "failed"), **ended})


def known_of(record: Mapping[str, Any]) -> Known | None:
    """What a line of the ledger says of an item that ended well, then or at an earlier time."""
    if record["status"] == "done":
        return Known(record["key"], record["content_sha256"], _pairs(record["files"]))
    earlier = record.get("earlier")
    return None if earlier is None else Known("", earlier["content"], _pairs(earlier["files"]))


def _pairs(files: Iterable[Sequence[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, digest) for name, digest in files)


def _head(item: Item, key: str, status: Status) -> dict[str, Any]:
    return {
        "name": item.name,
        "path": item.written,
        "slice": item.slice_index,
        "status": status,
        "key": key,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "s2m_edge": __version__,
    }
