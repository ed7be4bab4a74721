"""One item of an archive: what is done with it, in a process that holds the runner."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from s2m_edge.deploy.bundle import Bundle, open_bundle
from s2m_edge.errors import ImageError, OutputError, S2MEdgeError, in_one_line
from s2m_edge.files import refusal, write_bytes
from s2m_edge.imaging.limits import allow_pixels
from s2m_edge.imaging.overlay import draw_overlay, mask_picture
from s2m_edge.imaging.planes import find_plane
from s2m_edge.imaging.written import Source, is_of, marked_png, require_free
from s2m_edge.targets.archive.content import content_hash, settled
from s2m_edge.targets.archive.job import Job, Known, Options, Outcome, bundle_hash, failed, head_of, key_of
from s2m_edge.targets.archive.manifest import Item
from s2m_edge.targets.archive.studies import DEFAULT_FORMATS, is_study, process_study
from s2m_edge.targets.base import Runner
from s2m_edge.targets.opening import open_runner, target_of
from s2m_edge.targets.predict import predict_image
from s2m_edge.texts import printable

MEBIBYTE = 2**20


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
        found = process_study(
            opened,
            runner,
            item,
            out,
            formats=options.formats or DEFAULT_FORMATS,
            slices=options.slices,
            codes=options.codes,
            seg_type=options.seg_type,
            overwrite=options.overwrite or _is_as_written(known, out),
            plane=options.plane,
            volume=options.volume,
            threshold=options.threshold,
        )
        _require_unchanged(item, content)
        return found
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
    _require_unchanged(item, content)
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


def _require_unchanged(item: Item, content: str) -> None:
    """Raise ImageError where an item is not any more what its hash says."""
    if content_hash(item.path) != content:
        raise ImageError(f"{item.path} was changed while it was read", "Run the command again.")


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
            figures["files"] = settled(self.out, figures["files"])
        except OutputError as error:
            if refusal(self.out, MEBIBYTE) is not None:  # no other item would fare better
                return Outcome("failed", fatal=str(error))
            return failed(job, key, content, str(error))
        except S2MEdgeError as error:
            return failed(job, key, content, str(error))
        except Exception as error:  # readers raise anything, and one file must not keep the others from being done
            return failed(job, key, content, f"{item.path} failed ({in_one_line(error)})")
        milliseconds = round((time.perf_counter() - began) * 1e3, 1)
        head = head_of(item, key, "done")
        return Outcome("done", {**head, "content_sha256": content, **figures, "milliseconds": milliseconds})

    def _there(self, known: Known) -> bool:
        return bool(known.files) and all((self.out / name).exists() for name, _ in known.files)
