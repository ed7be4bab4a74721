"""What an export writes: the user's choice, and what of it a study can be expressed in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6.QtWidgets import QCheckBox, QGridLayout, QPushButton, QWidget

from s2m_edge.apps.desktop.documents import Document
from s2m_edge.errors import S2MEdgeError
from s2m_edge.imaging.classes import SegmentClass
from s2m_edge.imaging.study import Study
from s2m_edge.targets.study.results import PNG
from s2m_edge.texts import printable

NIFTI = "nifti"
TITLES = {
    PNG: ("PNG", "Mask and overlay of each picture and slice"),
    NIFTI: ("NIfTI", "Labels of a whole series or volume; a picture gets none, for it lies nowhere"),
    "dicom-seg": ("DICOM-SEG", "A DICOM segmentation of a whole DICOM study"),
    "csv": ("CSV", "Areas, volumes and diameters of each whole study"),
    "json": ("JSON", "Areas, volumes and diameters of each whole study, for programs"),
}
USUAL = (PNG, NIFTI)
_ACROSS = 3


class FormatChoice(QWidget):
    """A box for each format, as the user left it last."""

    def __init__(self) -> None:
        super().__init__()
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        self.boxes: dict[str, QCheckBox] = {}
        for at, (name, (title, tip)) in enumerate(TITLES.items()):
            box = QCheckBox(title)
            box.setToolTip(tip)
            box.setChecked(name in USUAL)
            grid.addWidget(box, at // _ACROSS, at % _ACROSS)
            self.boxes[name] = box
        self.codes = QPushButton("Codes...")
        self.codes.setToolTip("The classes' codes for DICOM-SEG, a JSON file (Ctrl+K); a bundled network's have theirs")
        grid.addWidget(self.codes, len(TITLES) // _ACROSS, len(TITLES) % _ACROSS)

    @property
    def chosen(self) -> tuple[str, ...]:
        return tuple(name for name, box in self.boxes.items() if box.isChecked())


def study_formats_of(document: Document, chosen: Sequence[str]) -> list[str]:
    """Those of the chosen formats that are of a whole study."""
    return [name for name in chosen if name != PNG and not (name == NIFTI and document.is_picture)]


def expressible(
    document: Document,
    study: Study,
    formats: Sequence[str],
    segmented: int,
    classes: Sequence[SegmentClass],
    codes: Any,
) -> tuple[list[str], list[str]]:
    """The formats that a study can be written in, and why it cannot be in the others, one line each.

    Args:
        segmented: how many of its slices are.
        codes: of the classes, for DICOM-SEG.
    """
    from s2m_edge.imaging.results.write import require_expressible

    title = printable(document.title)
    if formats and segmented < document.slices:
        names = ", ".join(TITLES[name][0] for name in formats)
        return [], [f"{title}: no {names} ({segmented} of {document.slices} slices are segmented)"]
    kept, remarks = [], []
    for name in formats:
        try:
            require_expressible([name], study, classes, codes)
        except S2MEdgeError as error:
            remarks.append(f"{title}: no {TITLES[name][0]} ({error.cause})")
        else:
            kept.append(name)
    return kept, remarks
