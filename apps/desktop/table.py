"""results.csv: a row for each picture or slice and class of an export."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from s2m_edge import __version__
from s2m_edge.apps.desktop.documents import Document, Slice
from s2m_edge.apps.desktop.engine import Segmentation
from s2m_edge.deploy.contract import Contract
from s2m_edge.errors import OutputError
from s2m_edge.files import write_bytes
from s2m_edge.imaging.results.figures import ClassFigures
from s2m_edge.imaging.results.tables import cell
from s2m_edge.notice import NOTICE
from s2m_edge.texts import encoded

TABLE = "results.csv"
COLUMNS = (
    "image",
    "study",
    "slice",
    "width",
    "height",
    "class",
    "area_pixels",
    "area_fraction",
    "area_mm2",
    "spacing",
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


def rows_of(
    document: Document,
    index: int,
    read: Slice,
    figures: Sequence[ClassFigures],
    found: Segmentation,
    contract: Contract,
    device: str,
    threshold: float,
    files: Sequence[Path],
) -> list[dict[str, Any]]:
    """The rows of one slice.

    Args:
        figures: of that slice alone.
        files: its mask and overlay, or none.
    """
    mask, overlay = [path.name for path in files] or (None, None)
    spacing = read.grid.spacing
    same = {
        "image": str(document.path),
        "study": document.name,
        "slice": index if document.slices > 1 else None,
        "width": found.width,
        "height": found.height,
        "spacing": None if spacing is None else " x ".join(map(cell, spacing)),
        "threshold": threshold if contract.values["output"]["shape"][1] == 1 else None,
        "network_milliseconds": f"{found.network_milliseconds:.2f}",
        "milliseconds": f"{found.milliseconds:.2f}",
        "unusual": None if found.guard is None else ("yes" if found.guard.unusual else "no"),
        "mask": mask,
        "overlay": overlay,
        "model": contract.values["network"]["name"],
        "weights_sha256": contract.weights_sha256,
        "precision": contract.precision,
        "device": device,
        "s2m_edge_version": __version__,
        "notice": NOTICE,
    }
    return [
        {
            **same,
            "class": entry.name,
            "area_pixels": entry.pixels,
            "area_fraction": f"{entry.pixels / (found.width * found.height):.6f}",
            "area_mm2": None if entry.area_mm2 is None else entry.area_mm2[0],
        }
        for entry in figures
    ]


def write_table(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Rows as CSV; what is not known is an empty cell, and what a spreadsheet would take for a formula gets an
    apostrophe."""
    text = io.StringIO(newline="")
    writer: csv.DictWriter[str] = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    for row in rows:
        writer.writerow({name: cell(row[name]) for name in COLUMNS})
    write_bytes(path, encoded(text.getvalue()))


def require_own_table(path: Path, documents: Sequence[Document], remedy: str) -> None:
    """Raise OutputError if a table is there that says more than this export's will."""
    if not path.exists():
        return
    known = {(cell(str(document.path)), cell(document.name)) for document in documents}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            ours = tuple(reader.fieldnames or ()) == COLUMNS
            ours = ours and {(row["image"], row["study"]) for row in reader} <= known
    except (OSError, ValueError, csv.Error):
        ours = False
    if not ours:
        raise OutputError(f"{path} is there, and is of other pictures or of another program", remedy)
