"""What was segmented as files in a folder: masks and overlays, the formats of studies, and one table of all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2m_edge.apps.desktop.documents import Document, Slice, Studies
from s2m_edge.apps.desktop.engine import Segmentation, labels_of
from s2m_edge.apps.desktop.formats import PNG, expressible, study_formats_of
from s2m_edge.apps.desktop.table import TABLE, require_own_table, rows_of, write_table
from s2m_edge.apps.desktop.whole import slice_figures
from s2m_edge.deploy.bundle import Bundle
from s2m_edge.errors import OutputError, S2MEdgeError
from s2m_edge.files import output_error, require_writable
from s2m_edge.imaging.folders import free_stems
from s2m_edge.imaging.overlay import draw_overlay, mask_picture
from s2m_edge.imaging.scratch import scratch_array
from s2m_edge.imaging.written import Source, marked_png, require_free, source_of
from s2m_edge.leftovers import private_folder
from s2m_edge.targets.study.results import algorithm_of, codes_of, is_planned
from s2m_edge.targets.study.results import require_free as require_free_results
from s2m_edge.texts import printable

REMEDY = "Choose another folder, or move that file elsewhere."
Results = Sequence[tuple[Document, Mapping[int, Segmentation]]]


@dataclass(frozen=True)
class Request:
    """What was asked for.

    Attributes:
        folder: that takes the files.
        formats: names of `TITLES`.
        bundle: whose network segmented.
        device: for people.
        threshold: probability that counts as foreground.
        codes: a file with the classes' codes, before those of the bundle's domain.
    """

    folder: Path
    formats: tuple[str, ...]
    bundle: Bundle
    device: str
    threshold: float
    codes: Path | None = None


@dataclass
class Exported:
    """What one export wrote.

    Attributes:
        pictures: how many pictures and slices were exported.
        stopped: whether it was cancelled; studies that were not finished then have no file.
        remarks: formats and studies that were left out, and why, one line each.
        rows: of the table.
    """

    folder: Path
    pictures: int = 0
    stopped: bool = False
    remarks: list[str] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class _Plan:
    """The files of one document: what their names begin with, mask and overlay of each slice, formats of the study."""

    document: Document
    found: Mapping[int, Segmentation]
    stem: str
    pictures: dict[int, tuple[Path, Path]]
    formats: list[str]

    @property
    def whole(self) -> bool:
        return len(self.found) == self.document.slices


class _Stopped(Exception):  # noqa: N818 - it is none's error
    """The export was cancelled."""


def export_results(
    request: Request,
    results: Results,
    studies: Studies,
    notify: Callable[[int, int], None] = lambda done, total: None,
    stopped: Callable[[], bool] = lambda: False,
) -> Exported:
    """Write the chosen formats, and results.csv.

    PNG is NAME-mask.png and NAME-overlay.png of every picture, NAME-slice-NNN-... of slices; the others are what
    `s2m-edge predict --format` writes, and need every slice of their study. A study has all of its files or none; one
    that cannot be exported is said, and so is a format that cannot express it. Of files that are there, only those are
    replaced that were written for the same pictures; see `imaging/written.py`.

    Args:
        results: per document, segmentations by slice.
        studies: that are open.
        notify: called with pictures done and in all.
        stopped: asked before every picture.

    Raises:
        OutputError: the folder cannot be written, or a file in it would be lost, and nothing is written then; or the
            disk is full, and studies that were finished before stay, with a table of them.
    """
    plans = _plans(request, results)
    _require_free(request, plans, studies)
    require_writable(request.folder)
    exported = Exported(request.folder)
    total = sum(len(plan.found) for plan in plans)
    try:
        for plan in plans:
            try:
                _export(request, plan, studies, exported, lambda done: notify(done, total), stopped)
            except OutputError:
                with suppress(OutputError):
                    _finish(exported)
                raise
            except S2MEdgeError as error:
                exported.remarks.append(f"{printable(plan.document.title)}: {error}")
    except _Stopped:
        exported.stopped = True
    _finish(exported)
    return exported


def _finish(exported: Exported) -> None:
    if exported.rows:
        write_table(exported.folder / TABLE, exported.rows)


def _plans(request: Request, results: Results) -> list[_Plan]:
    # Of one series of several in a folder, its name stands for the file that others have.
    named = [
        document.path.with_name(document.name) if document.source.kind.startswith("DICOM") else document.path
        for document, _ in results
    ]
    plans = []
    for (document, found), stem in zip(results, free_stems(named), strict=True):
        numbered = {index: stem if document.slices == 1 else f"{stem}-slice-{index:03d}" for index in sorted(found)}
        pictures = {
            index: (request.folder / f"{name}-mask.png", request.folder / f"{name}-overlay.png")
            for index, name in numbered.items()
        }
        formats = study_formats_of(document, request.formats)
        plans.append(_Plan(document, found, stem, pictures if PNG in request.formats else {}, formats))
    return plans


def _require_free(request: Request, plans: Sequence[_Plan], studies: Studies) -> None:
    """Raise OutputError, before anything is written, if a file would be lost."""
    for plan in plans:
        for index, paths in plan.pictures.items():
            for path in paths:
                require_free(path, lambda plan=plan, index=index: _source_of(plan, studies, index), REMEDY)
        if plan.whole and plan.formats and is_planned(plan.formats, request.folder, plan.stem):
            try:
                study = studies.of(plan.document)
            except S2MEdgeError:  # said when its turn comes
                continue
            require_free_results(request.bundle, study, plan.formats, request.folder, plan.stem, remedy=REMEDY)
    require_own_table(request.folder / TABLE, [plan.document for plan in plans], REMEDY)


def _export(
    request: Request,
    plan: _Plan,
    studies: Studies,
    exported: Exported,
    notify: Callable[[int], None],
    stopped: Callable[[], bool],
) -> None:
    """All files of one document, or none."""
    from s2m_edge.imaging.results.write import write_results

    bundle, document = request.bundle, plan.document
    contract, study = bundle.contract, studies.of(document)
    codes = codes_of(bundle, request.codes) if "dicom-seg" in plan.formats else {}
    formats, remarks = expressible(document, study, plan.formats, len(plan.found), contract.classes, codes)
    rows: list[dict[str, Any]] = []
    grid = study.grid
    labels = scratch_array((grid.slices if formats else 0, grid.rows, grid.columns))
    source = _source(document, studies)
    try:
        with private_folder(request.folder / TABLE, "partial") as private:
            beside: list[tuple[Path, Path]] = []
            for done, index in enumerate(sorted(plan.found), start=1):
                if stopped():
                    raise _Stopped
                found = plan.found[index]
                read = studies.read(document, index, contract.preprocessing.intensity)
                decided = labels_of(found.in_picture_size(), request.threshold)
                if formats and decided.shape != labels.shape[1:]:
                    formats, odd = [], f"{printable(document.title)}: PNG alone (its pages have several sizes)"
                    remarks.append(odd)
                if formats:
                    labels[index] = decided
                files = plan.pictures.get(index, ())
                if files:
                    marked = _numbered(source, document, index)
                    beside += _staged(private, files, _pictures(request, read, decided, found), marked)
                figures = slice_figures(decided, read.grid, contract.classes)
                rows += rows_of(
                    document, index, read, figures, found, contract, request.device, request.threshold, files
                )
                notify(exported.pictures + done)
            if formats or beside:
                write_results(
                    formats, request.folder, plan.stem, study, labels, contract.classes, codes,
                    algorithm_of(bundle, request.threshold), remedy=REMEDY, beside=beside,
                )  # fmt: skip
    except OSError as error:
        raise output_error(request.folder, error) from None
    exported.pictures += len(plan.found)
    exported.rows += rows
    exported.remarks += remarks


def _pictures(request: Request, read: Slice, labels: NDArray[np.uint8], found: Segmentation) -> list[Any]:
    """Mask and overlay of one slice."""
    contract = request.bundle.contract
    name = contract.values["network"]["name"]
    caption = f"{name}, OpenVINO, {contract.precision}, {found.network_milliseconds:.0f} ms"
    mask = mask_picture(labels, contract.values["output"]["shape"][1])
    return [mask, draw_overlay(read.image, labels, contract.classes, caption)]


def _staged(private: Path, places: Sequence[Path], pictures: Sequence[Any], source: Source) -> list[tuple[Path, Path]]:
    """Pictures as files in a private folder, and their places."""
    from s2m_edge.imaging.results.write import stage

    made = [(private / place.name, place) for place in places]
    for (path, place), picture in zip(made, pictures, strict=True):
        stage(path, marked_png(picture, source), sync=place.exists())  # where nothing is lost, thousands need no wait
    return made


def _source(document: Document, studies: Studies) -> Source:
    """What a mask says that it is of, but for the slice: of a file its hash, of a series that of its instances."""
    if document.is_picture:
        return source_of(document.path)
    return Source(printable(document.title), studies.of(document).identity, cut=document.plane or "")


def _numbered(source: Source, document: Document, index: int) -> Source:
    return source if document.slices == 1 else replace(source, slice_index=index)


def _source_of(plan: _Plan, studies: Studies, index: int) -> Source:
    return _numbered(_source(plan.document, studies), plan.document, index)
