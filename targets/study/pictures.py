"""A study's masks as pictures: one PNG of each slice, and a sheet that shows them on a page."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2m_edge.files import FolderKind, exactly, write_bytes
from s2m_edge.imaging.classes import SegmentClass
from s2m_edge.imaging.overlay import draw_overlay, mask_picture, paint
from s2m_edge.imaging.study.study import Study
from s2m_edge.imaging.written import Source, is_of, marked_png
from s2m_edge.targets.predict import Prediction
from s2m_edge.texts import printable

SHEET = "sheet.png"
_ACROSS, _DOWN = 6, 4
_SIDE = 256
"""Pixels of a sheet's pictures, at most."""
_MASK = re.compile(r"(\d+)-mask\.png")


def masks_folder(out: Path, stem: str) -> Path:
    """Where the pictures of a study lie."""
    return out / f"{stem}-slices"


def masks_kind(study: Study, overwrite: bool) -> FolderKind:
    """What such a folder may hold to be replaced: pictures that were written for the same study, and not changed since;
    whatever PNG, where the user has said that files may be replaced."""

    def ours(folder: Path) -> list[str]:
        found = sorted(path for path in folder.iterdir() if path.name == SHEET or _MASK.fullmatch(path.name))
        return [exactly(path.name) for path in found if overwrite or is_of(path, _source(study, path.name))]

    return FolderKind(
        f"masks of {study.name} as s2m-edge wrote them",
        ours,
        "choose another place with --out, or add --overwrite to replace masks",
    )


@dataclass
class SlicePictures:
    """Pictures of slices that come one after another.

    Attributes:
        folder: that takes them.
        study: of all slices, whose numbers the files have.
        classes, outputs: of the network.
        chosen: the slices that will come.
        caption: of the sheet.
    """

    folder: Path
    study: Study
    classes: tuple[SegmentClass, ...]
    outputs: int
    chosen: range
    caption: str
    _shown: dict[int, NDArray[np.uint8]] = field(default_factory=dict)

    def add(self, number: int, found: Prediction) -> None:
        """Write one slice's mask; keep a small picture of it if it is to be on the sheet.

        Raises:
            OutputError: it cannot be written.
        """
        name = f"{number:0{max(4, len(str(self.study.slices - 1)))}d}-mask.png"
        mask = mask_picture(found.labels, self.outputs)
        write_bytes(self.folder / name, marked_png(mask, _source(self.study, name)))
        if number in self._sheet_slices():
            self._shown[number] = _small(paint(found.image, found.labels, self.classes))

    def finish(self) -> None:
        """Write the sheet: up to 24 slices, evenly spread, with what is marked in them."""
        sheet = _tiled(list(self._shown.values()))
        numbers = ", ".join(map(str, self._shown))
        caption = f"{self.caption}. Slices {numbers}"
        picture = draw_overlay(sheet, np.zeros(sheet.shape[:2], np.uint8), (), printable(caption))
        write_bytes(self.folder / SHEET, marked_png(picture, _source(self.study, SHEET)))

    def _sheet_slices(self) -> set[int]:
        count = min(len(self.chosen), _ACROSS * _DOWN)
        return {self.chosen[round(at)] for at in np.linspace(0, len(self.chosen) - 1, count)}


def _source(study: Study, name: str) -> Source:
    number = _MASK.fullmatch(name)
    return Source(study.name, study.identity, int(number[1]) if number else None, study.plane)


def _small(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    from PIL import Image

    height, width = picture.shape[:2]
    scale = _SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR))


def _tiled(pictures: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Pictures of one size, row after row."""
    across = min(_ACROSS, max(1, len(pictures)))
    height, width = pictures[0].shape[:2]
    rows = -(-len(pictures) // across)
    sheet: Any = np.zeros((rows * height, across * width, 3), np.uint8)
    for at, picture in enumerate(pictures):
        top, left = at // across * height, at % across * width
        sheet[top : top + height, left : left + width] = picture
    return sheet
