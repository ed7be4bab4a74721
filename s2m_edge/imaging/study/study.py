"""What every study offers, whatever its files are: slices as the network sees them, and where they lie."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from s2m_edge.errors import ImageError
from s2m_edge.imaging.grid import Grid
from s2m_edge.imaging.intensity import Intensity

Kind = Literal["DICOM series", "DICOM frames", "NIfTI", "NRRD", "MetaImage", "picture"]
DEFAULT_INTENSITY = Intensity()


class Study(ABC):
    """A stack of slices of one size, in a fixed order; opened, and read slice by slice.

    Attributes:
        name: printable, and safe as a file's name.
        path: of the file, or of the folder that a series lies in.
        kind: of its files.
        grid: where its slices lie.
        spacing_from: which attribute the spacing of the grid is from; empty where the file does not say.
        plane: "acquired" as the scanner made the slices, or the plane along which the volume is cut.
        remarks: what a reader should know: gaps, slices left out, positions that are missing. One sentence each.
        identity: SHA-256 that tells it from another study: of a file's bytes, or of a series' instances.
    """

    name: str
    path: Path
    kind: Kind
    grid: Grid
    spacing_from: str
    plane: str
    remarks: tuple[str, ...]
    identity: str

    @property
    def slices(self) -> int:
        """How many."""
        return self.grid.slices

    @abstractmethod
    def slice(self, index: int, intensity: Intensity = DEFAULT_INTENSITY) -> NDArray[np.uint8]:
        """One slice as `read_image` would give it, RGB, rows x columns x 3, uint8.

        Args:
            index: from 0, in the study's order.
            intensity: the network's rule for values of more than 8 bits; over a volume it is over the whole study.

        Raises:
            ImageError: there is none of that number, or it cannot be read.
        """

    def values(self, index: int) -> NDArray[Any]:
        """One slice's values before any window, rows x columns, in the file's units (Hounsfield units of a CT); what
        `slice` gives, of slices in colour and where the file is no DICOM and no volume.

        Raises:
            ImageError: there is none of that number, or it cannot be read.
        """
        return self.slice(index)

    @property
    def datasets(self) -> Sequence[Any]:
        """Of DICOM, the headers of its files without pixels (pydicom), read when they are asked for: one of each slice
        in the study's order, or the one of all frames. Of others, none."""
        return ()

    @property
    def volume(self) -> Any:
        """Of NIfTI, NRRD and MetaImage the opened `Volume`, by which a mask is written on its grid; else None."""
        return None

    def labels_in_file_order(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Labels slices x rows x columns in the study's order, as its files store their pixels.

        Of DICOM, datasets or frames x rows x columns in the order of `datasets` or of the file; of NIfTI, the three
        stored axes; of others, as given. Of a part of a study, slices that were not asked for are 0.
        """
        return labels

    def part(self, chosen: range) -> Study:
        """The study of some of its slices alone; all else stays."""
        return self if chosen == range(self.slices) else Part(self, chosen)

    def require_slice(self, index: int) -> None:
        """Raise ImageError unless there is a slice of that number."""
        if not 0 <= index < self.slices:
            raise ImageError(f"{self.name} has no slice {index}", f"Choose slices of 0..{self.slices - 1}.")


class Part(Study):
    """Some slices of a study, counted anew from 0."""

    def __init__(self, whole: Study, chosen: range) -> None:
        """Args:
        chosen: which slices, within the study.

        Raises:
            ImageError: none, or some that are not there.
        """
        if not len(chosen) or min(chosen) < 0 or max(chosen) >= whole.slices:
            raise ImageError(
                f"{whole.name} has the slices 0..{whole.slices - 1}", "Choose some of them with --slices, or all."
            )
        self.whole, self.chosen = whole, chosen
        self.name, self.path, self.kind = whole.name, whole.path, whole.kind
        self.spacing_from, self.plane, self.remarks = whole.spacing_from, whole.plane, whole.remarks
        self.identity = whole.identity
        self.grid = grid_of(whole.grid, chosen)

    def slice(self, index: int, intensity: Intensity = DEFAULT_INTENSITY) -> NDArray[np.uint8]:
        self.require_slice(index)
        return self.whole.slice(self.chosen[index], intensity)

    def values(self, index: int) -> NDArray[Any]:
        self.require_slice(index)
        return self.whole.values(self.chosen[index])

    @property
    def datasets(self) -> Sequence[Any]:
        found = self.whole.datasets
        one_each = len(found) == self.whole.slices and self.whole.plane == "acquired"
        return Chosen(found, self.chosen) if one_each and self.whole.kind == "DICOM series" else found

    @property
    def volume(self) -> Any:
        return self.whole.volume

    def labels_in_file_order(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if self.kind == "DICOM series" and self.plane == "acquired":
            return labels
        full = np.zeros((self.whole.slices, *labels.shape[1:]), np.uint8)
        full[self.chosen.start : self.chosen.stop : self.chosen.step] = labels
        return self.whole.labels_in_file_order(full)


@dataclass(frozen=True)
class Chosen(Sequence[Any]):
    """Some entries of a sequence, in place."""

    whole: Sequence[Any]
    chosen: range

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return Chosen(self.whole, self.chosen[index])
        return self.whole[self.chosen[index]]


def grid_of(grid: Grid, chosen: range) -> Grid:
    """The grid of some of a grid's slices. What one by itself stands for is what it stood for among its neighbours."""
    extents, thickness = grid.extents, grid.thickness
    if len(chosen) == 1 and extents is not None:
        thickness = float(extents[chosen[0]])
    positions = None if grid.positions is None else grid.positions[list(chosen)]
    return replace(grid, slices=len(chosen), positions=positions, thickness=thickness)
