"""What the user opened: studies and pictures with their slices, found and named as `s2m-edge predict --format` does."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2m_edge.errors import ImageError, S2MEdgeError
from s2m_edge.imaging.grid import Grid
from s2m_edge.imaging.intensity import Intensity
from s2m_edge.imaging.planes import Plane
from s2m_edge.imaging.read import is_volume, read_image, readable
from s2m_edge.imaging.slices import slices_of
from s2m_edge.imaging.study import Study, StudySource, find_studies
from s2m_edge.imaging.study.study import grid_of
from s2m_edge.imaging.volume import open_volume

OPENED = 2
"""Studies that are open at a time: the one that is shown, and the one that a batch is at."""
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Document:
    """One entry of the queue.

    Attributes:
        path: of the file, or of the folder that a series lies in.
        name: of the study; two series of one folder differ in it.
        slices: how many; 1 for a picture.
        first_shown: the slice that is shown first: the middle one, of an animation its first.
        source: that opens it.
        plane: that its slices lie in; None as a scanner acquired them, of a volume's file axial.
        volume: which of the file's volumes this is; None where it holds one.
        volumes: how many it holds.
    """

    path: Path
    name: str
    slices: int
    first_shown: int
    source: StudySource = field(compare=False, repr=False)
    plane: Plane | None = None
    volume: int | None = None
    volumes: int = 1

    @property
    def title(self) -> str:
        """For people: the file's name, of DICOM that of the study."""
        return self.name if self.source.kind.startswith("DICOM") else self.path.name

    @property
    def planes(self) -> tuple[Plane | None, ...]:
        """What its slices may lie in; None alone where there is nothing to choose."""
        if self.is_picture or (self.slices == 1 and self.plane is None):
            return (None,)
        others: tuple[Plane, ...] = ("coronal", "sagittal")
        return (None, "axial", *others) if self.source.kind.startswith("DICOM") else (None, *others)

    @property
    def cut(self) -> str:
        """In words, where it is not the usual one: its plane and the number of its volume."""
        number = "" if self.volume is None else f"volume {self.volume}"
        return ", ".join(part for part in (self.plane or "", number) if part)

    @property
    def is_picture(self) -> bool:
        """Whether it is neither DICOM nor a volume: it lies nowhere in a body."""
        return self.source.kind == "picture"


@dataclass(frozen=True)
class Slice:
    """One slice as it was read.

    Attributes:
        image: as the network sees it, RGB, rows x columns x 3, uint8.
        grid: of this slice alone.
        spacing_from: which attribute the grid's spacing is from; empty where the file does not say.
        stands_apart: whether the study says how far its slices are apart, so that they make a volume.
        remarks: on the study, one sentence each.
    """

    image: NDArray[np.uint8]
    grid: Grid
    spacing_from: str = ""
    stands_apart: bool = False
    remarks: tuple[str, ...] = ()


def open_documents(
    paths: Sequence[Path], progress: Progress = lambda done, total: None
) -> tuple[list[Document], list[S2MEdgeError]]:
    """The documents of files and folders, with all that lies in those, and why others could not be opened.

    Args:
        progress: called with files looked at and in all.
    """
    documents: list[Document] = []
    failures: list[S2MEdgeError] = [
        ImageError(f"there is no image {path}", "Check the path.") for path in paths if not path.exists()
    ]
    for source in _sources([path for path in paths if path.exists()], failures, progress):
        try:
            documents.append(_document(source))
        except S2MEdgeError as error:
            failures.append(error)
    return documents, failures


def _sources(paths: list[Path], failures: list[S2MEdgeError], progress: Progress) -> list[StudySource]:
    """All studies of all paths together, for a series may lie in several of them; one that cannot be listed is left
    out, and said to be."""
    if not paths:
        return []
    try:
        found = find_studies(paths, progress)
    except S2MEdgeError as error:
        if len(paths) == 1:
            failures.append(error)
            return []
        return [source for path in paths for source in _sources([path], failures, progress)]
    places = [place for source in found for place in ([frame.path for frame in source.frames] or [source.path])]
    for path in paths:
        if path.is_dir() and not any(place.is_relative_to(path) for place in places):
            failures.append(ImageError(f"{path} holds no study", "Choose a folder with images."))
    return found


def _document(source: StudySource) -> Document:
    """Raises S2MEdgeError where it cannot be opened."""
    if source.fault is not None:
        raise source.fault
    if source.kind.startswith("DICOM"):
        slices = source.open().slices
        return Document(source.path, source.name, slices, slices // 2, source)
    if is_volume(source.path):
        opened = readable(source.path, lambda: open_volume(source.path, number=0))
        first = 0 if opened.volumes > 1 else None
        return Document(
            source.path, source.name, opened.slices, opened.slices // 2, source, volume=first, volumes=opened.volumes
        )
    return Document(source.path, source.name, *slices_of(source.path), source)


def cut_document(document: Document, plane: Plane | None, volume: int | None) -> Document:
    """The same study in another plane, or another volume of its file.

    Raises:
        S2MEdgeError: it cannot be cut so, and why.
    """
    slices = document.source.open(plane, volume).slices
    return replace(document, plane=plane, volume=volume, slices=slices, first_shown=slices // 2)


class Studies:
    """The studies that were asked for last, opened: no more than `OPENED`, for a volume may be held in memory, or
    unpacked on the disk. One thread may ask."""

    def __init__(self) -> None:
        self._opened: OrderedDict[Document, Study] = OrderedDict()

    def of(self, document: Document) -> Study:
        """Raises S2MEdgeError where it cannot be opened."""
        found = self._opened.pop(document, None) or document.source.open(document.plane, document.volume)
        self._opened[document] = found
        while len(self._opened) > OPENED:
            self._opened.popitem(last=False)
        return found

    def read(self, document: Document, index: int, intensity: Intensity) -> Slice:
        """One slice, by the network's rule for values of more than 8 bits.

        Raises:
            S2MEdgeError: it cannot be read.
        """
        if document.is_picture:  # each page has its own size, which a study's must not
            image = read_image(document.path, index, intensity)
            return Slice(image, Grid(1, *image.shape[:2]))
        study = self.of(document)
        grid = grid_of(study.grid, range(index, index + 1))
        apart = study.grid.extents is not None
        return Slice(study.slice(index, intensity), grid, study.spacing_from, apart, study.remarks)

    def values(self, document: Document, index: int, image: NDArray[np.uint8]) -> NDArray[Any]:
        """A slice's values before any window, rows x columns, or those of `image`, which was read of it, where the file
        has no others."""
        return image if document.is_picture else self.of(document).values(index)
