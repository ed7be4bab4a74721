"""Masks, overlays and a table of what was segmented, into a folder."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2m_edge import __version__
from s2m_edge.apps.desktop.documents import Document
from s2m_edge.apps.desktop.engine import Segmentation, labels_of
from s2m_edge.contract import NOTICE, Contract
from s2m_edge.files import require_writable, write_bytes
from s2m_edge.imaging.overlay import draw_overlay, mask_picture, png_bytes
from s2m_edge.imaging.read import NIFTI_SUFFIXES, free_stem
from s2m_edge.train.data.volumes import read_picture

TABLE = "results.csv"
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
    "mask",
    "overlay",
    "model",
    "checkpoint_sha256",
    "precision",
    "device",
    "s2m_edge_version",
    "notice",
)


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

    A NIfTI volume whose every slice was segmented also gives NAME-mask.nii.gz, with the volume's own geometry.

    Args:
        results: per document, segmentations by slice.
        notify: called with pictures done and in all.
        stopped: asked before every picture.

    Raises:
        OutputError: the folder cannot be written. ImageError: a picture cannot be read any more.
    """
    require_writable(folder)
    total = sum(len(slices) for _, slices in results)
    rows: list[dict[str, object]] = []
    taken: set[str] = set()
    done = 0
    for document, slices in results:
        base = free_stem(document.path, taken)
        volume: dict[int, NDArray[np.uint8]] = {}
        for index in sorted(slices):
            if stopped():
                write_table(folder / TABLE, rows)
                return Exported(folder, done, True)
            found = slices[index]
            labels = labels_of(found.in_picture_size(), threshold)
            stem = base if document.slices == 1 else f"{base}-slice-{index:03d}"
            mask, overlay = folder / f"{stem}-mask.png", folder / f"{stem}-overlay.png"
            image = read_picture(document.path, index)
            caption = f"S2M-Net, OpenVINO, {contract.precision}, {found.network_milliseconds:.0f} ms"
            write_bytes(mask, png_bytes(mask_picture(labels, contract.values["output"]["shape"][1])))
            write_bytes(overlay, png_bytes(draw_overlay(image, labels, contract.classes, caption)))
            volume[index] = labels
            rows.extend(_rows(document, index, labels, found, contract, device, threshold, mask, overlay))
            done += 1
            notify(done, total)
        if document.path.name.lower().endswith(NIFTI_SUFFIXES) and len(volume) == document.slices:
            write_volume(folder / f"{base}-mask.nii.gz", document.path, [volume[index] for index in sorted(volume)])
    write_table(folder / TABLE, rows)
    return Exported(folder, done, False)


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
    checkpoint = contract.values["checkpoint"]
    areas = [int((labels == number).sum()) for number in range(1, len(contract.classes) + 1)]
    return [
        {
            "image": document.path,
            "slice": index if document.slices > 1 else "",
            "width": found.width,
            "height": found.height,
            "class": entry.name,
            "area_pixels": area,
            "area_fraction": f"{area / labels.size:.6f}",
            "threshold": threshold if len(contract.classes) == contract.values["output"]["shape"][1] else "",
            "network_milliseconds": f"{found.network_milliseconds:.2f}",
            "milliseconds": f"{found.milliseconds:.2f}",
            "mask": mask.name,
            "overlay": overlay.name,
            "model": checkpoint["file"],
            "checkpoint_sha256": checkpoint["sha256"],
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
        writer.writerow({name: _harmless(value) for name, value in row.items()})
    write_bytes(path, text.getvalue().encode())


def _harmless(value: object) -> object:
    return f"'{value}" if isinstance(value, str | Path) and str(value).startswith(("=", "+", "-", "@")) else value


def write_volume(path: Path, source: Path, slices: Sequence[NDArray[np.uint8]]) -> None:
    """Labels slices x H x W as NIfTI, on the source's grid."""
    import nibabel

    image: Any = nibabel.load(source)  # type: ignore[attr-defined]
    volume = np.ascontiguousarray(np.stack(slices).transpose(2, 1, 0))  # NIfTI has x before y
    labels = nibabel.Nifti1Image(volume, image.affine)  # type: ignore[attr-defined]
    write_bytes(path, gzip.compress(labels.to_bytes(), mtime=0))
