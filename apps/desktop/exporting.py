"""Masks, overlays and a table of what was segmented, into a folder."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from s2m_edge import __version__
from s2m_edge.apps.desktop.documents import Document
from s2m_edge.apps.desktop.engine import Segmentation, labels_of
from s2m_edge.deploy.contract import Contract
from s2m_edge.errors import OutputError
from s2m_edge.files import require_writable, write_bytes
from s2m_edge.imaging.folders import free_stems
from s2m_edge.imaging.overlay import draw_overlay, mask_picture
from s2m_edge.imaging.read import is_volume
from s2m_edge.imaging.volume import labels_on_grid, open_volume
from s2m_edge.imaging.written import Source, marked_png, nifti_description, require_free, source_of
from s2m_edge.notice import NOTICE
from s2m_edge.texts import encoded, harmless_cell
from s2m_edge.train.data.volumes import read_picture

TABLE = "results.csv"
REMEDY = "Choose another folder, or move that file elsewhere."
COLUMNS = (
    "image",
    "slice",
    "width",
    "height",
    "class",
    "area_pixels",
    "area_fraction",
    "threshold",
    "network_milliseconds",
    "milliseconds",
    "unusual",
    "mask",
    "overlay",
    "model",
    "weights_sha256",
    "precision",
    "device",
    "s2m_edge_version",
    "notice",
)


@dataclass(frozen=True)
class Planned:
    """The files of one document.

    Attributes:
        pictures: mask and overlay by slice.
        volume: of a NIfTI file whose every slice was segmented.
    """

    pictures: dict[int, tuple[Path, Path]]
    volume: Path | None


@dataclass(frozen=True)
class Exported:
    """What one export wrote.

    Attributes:
        pictures: how many were exported.
        stopped: whether it was cancelled; the table then holds those that were.
    """

    folder: Path
    pictures: int
    stopped: bool


def export_results(
    folder: Path,
    results: Sequence[tuple[Document, dict[int, Segmentation]]],
    contract: Contract,
    device: str,
    threshold: float,
    notify: Callable[[int, int], None] = lambda done, total: None,
    stopped: Callable[[], bool] = lambda: False,
) -> Exported:
    """Write NAME-mask.png and NAME-overlay.png of every picture, NAME-slice-NNN-... of slices, and results.csv.

    A NIfTI volume whose every slice was segmented also gives NAME-mask.nii.gz, with the volume's own geometry. Of files
    that are there, only those are replaced that an export wrote for the same pictures; see `imaging/written.py`.

    Args:
        results: per document, segmentations by slice.
        notify: called with pictures done and in all.
        stopped: asked before every picture.

    Raises:
        OutputError: the folder cannot be written, or a file in it would be lost; nothing is written then.
        ImageError: a picture cannot be read any more.
    """
    plans = _plan(folder, results)
    require_writable(folder)
    name = contract.values["network"]["name"]
    total = sum(len(slices) for _, slices in results)
    rows: list[dict[str, object]] = []
    done = 0
    for (document, slices), plan in zip(results, plans, strict=True):
        volume: dict[int, NDArray[np.uint8]] = {}
        for index in sorted(slices):
            if stopped():
                write_table(folder / TABLE, rows)
                return Exported(folder, done, True)
            found = slices[index]
            labels = labels_of(found.in_picture_size(), threshold)
            mask, overlay = plan.pictures[index]
            source = _source(document, index)
            image = read_picture(document.path, index, intensity=contract.preprocessing.intensity)
            caption = f"{name}, OpenVINO, {contract.precision}, {found.network_milliseconds:.0f} ms"
            write_bytes(mask, marked_png(mask_picture(labels, contract.values["output"]["shape"][1]), source))
            write_bytes(overlay, marked_png(draw_overlay(image, labels, contract.classes, caption), source))
            volume[index] = labels
            rows.extend(_rows(document, index, labels, found, contract, device, threshold, mask, overlay))
            done += 1
            notify(done, total)
        if plan.volume is not None:
            write_volume(plan.volume, document.path, [volume[index] for index in sorted(volume)])
    write_table(folder / TABLE, rows)
    return Exported(folder, done, False)


def _plan(folder: Path, results: Sequence[tuple[Document, dict[int, Segmentation]]]) -> list[Planned]:
    """Where everything goes.

    Raises:
        OutputError: a file would be lost.
    """
    plans = []
    names = free_stems([document.path for document, _ in results])
    for (document, slices), base in zip(results, names, strict=True):
        stems = {index: base if document.slices == 1 else f"{base}-slice-{index:03d}" for index in sorted(slices)}
        pictures = {
            index: (folder / f"{stem}-mask.png", folder / f"{stem}-overlay.png") for index, stem in stems.items()
        }
        whole = is_volume(document.path) and len(slices) == document.slices
        volume = folder / f"{base}-mask.nii.gz" if whole else None
        for index, paths in pictures.items():
            for path in paths:
                require_free(path, lambda document=document, index=index: _source(document, index), REMEDY)
        if volume is not None:
            require_free(volume, lambda document=document: source_of(document.path), REMEDY)
        plans.append(Planned(pictures, volume))
    _require_own_table(folder / TABLE, {_image(document) for document, _ in results})
    return plans


def _source(document: Document, index: int) -> Source:
    return source_of(document.path, None if document.slices == 1 else index)


def _require_own_table(path: Path, images: set[str]) -> None:
    """Raise OutputError if a table is there that says more than this export's will."""
    if not path.exists():
        return
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            ours = tuple(reader.fieldnames or ()) == COLUMNS and {row["image"] for row in reader} <= images
    except (OSError, ValueError, csv.Error):
        ours = False
    if not ours:
        raise OutputError(f"{path} is there, and is of other pictures or of another program", REMEDY)


def _image(document: Document) -> str:
    """A document's cell in the table."""
    return harmless_cell(str(document.path))


def _rows(
    document: Document,
    index: int,
    labels: NDArray[np.uint8],
    found: Segmentation,
    contract: Contract,
    device: str,
    threshold: float,
    mask: Path,
    overlay: Path,
) -> list[dict[str, object]]:
    areas = [int((labels == number).sum()) for number in range(1, len(contract.classes) + 1)]
    return [
        {
            "image": _image(document),
            "slice": index if document.slices > 1 else "",
            "width": found.width,
            "height": found.height,
            "class": entry.name,
            "area_pixels": area,
            "area_fraction": f"{area / labels.size:.6f}",
            "threshold": threshold if len(contract.classes) == contract.values["output"]["shape"][1] else "",
            "network_milliseconds": f"{found.network_milliseconds:.2f}",
            "milliseconds": f"{found.milliseconds:.2f}",
            "unusual": "" if found.guard is None else ("yes" if found.guard.unusual else "no"),
            "mask": mask.name,
            "overlay": overlay.name,
            "model": contract.values["network"]["name"],
            "weights_sha256": contract.weights_sha256,
            "precision": contract.precision,
            "device": device,
            "s2m_edge_version": __version__,
            "notice": NOTICE,
        }
        for entry, area in zip(contract.classes, areas, strict=True)
    ]


def write_table(path: Path, rows: Sequence[dict[str, object]]) -> None:
    """Rows as CSV; cells that a spreadsheet would take for a formula get an apostrophe."""
    text = io.StringIO(newline="")
    writer: csv.DictWriter[str] = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    for row in rows:
        cells = {name: harmless_cell(str(one)) if isinstance(one, str | Path) else one for name, one in row.items()}
        writer.writerow(cells)
    write_bytes(path, encoded(text.getvalue()))


def write_volume(path: Path, source: Path, slices: Sequence[NDArray[np.uint8]]) -> None:
    """Labels slices x H x W as NIfTI, on the source's grid."""
    volume = open_volume(source)
    stored = volume.stored(np.stack(slices))
    content = labels_on_grid(volume, stored, nifti_description(stored, source_of(source)))
    write_bytes(path, gzip.compress(content, mtime=0))
