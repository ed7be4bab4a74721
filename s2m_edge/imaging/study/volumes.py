"""Studies of volumes (NIfTI, NRRD, MetaImage), and of pictures: pages of a TIFF, frames of an animation."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2m_edge.errors import ImageError
from s2m_edge.files import file_sha256
from s2m_edge.imaging.dicom import over_volume
from s2m_edge.imaging.folders import ITK_SUFFIXES, META_SUFFIXES
from s2m_edge.imaging.grid import Grid
from s2m_edge.imaging.intensity import Intensity, levels, spread, volume_ends
from s2m_edge.imaging.planes import Plane
from s2m_edge.imaging.read import as_rgb, read_image, readable
from s2m_edge.imaging.slices import slices_of
from s2m_edge.imaging.study.cut import shown_grid
from s2m_edge.imaging.study.mapped import mapped
from s2m_edge.imaging.study.study import DEFAULT_INTENSITY, Kind, Study
from s2m_edge.imaging.volume import Volume, open_volume

_UNITS = {"meter": 1000.0, "micron": 0.001}
_RIGHT_ANGLE = 0.001


class VolumeStudy(Study):
    """A volume, slice by slice in a plane. NIfTI is read where it lies, compressed files from an unpacked copy; NRRD
    and MetaImage are held in memory.

    Args:
        name: of the study.
        path: of the file.
        plane: of the slices.
        number: which volume of a series of them.

    Raises:
        ImageError, MissingBackendError: it cannot be opened; see `open_volume`.
        OutputError: there is no room to unpack it.
    """

    def __init__(self, name: str, path: Path, plane: Plane = "axial", number: int | None = None) -> None:
        self.name, self.path, self.plane = name, path, plane
        self.kind = volume_kind(path)
        opened = readable(path, partial(open_volume, path, plane, number))
        self._files = opened.image.file_map
        self._volume = readable(path, partial(mapped, opened)) if self.kind == "NIfTI" else opened
        units = 1.0
        if hasattr(self._volume.image.header, "get_xyzt_units") and self.kind == "NIfTI":
            units = _UNITS.get(self._volume.image.header.get_xyzt_units()[0], 1.0)
        self.grid = shown_grid(self._volume.affine, self._volume.shape, self._volume.shown, units)
        self.spacing_from = "" if self.grid.spacing is None else "affine" if self.kind == "NIfTI" else "spacing"
        self.remarks = tuple(self._noticed())
        self._ends: dict[Intensity, tuple[float, float]] = {}

    @cached_property
    def identity(self) -> str:  # type: ignore[override]
        volume = self._volume
        if volume.volumes == 1:
            return self._of_file()
        return hashlib.sha256(f"{self._of_file()} volume {volume.chosen}".encode()).hexdigest()

    def _of_file(self) -> str:
        if self.kind != "NIfTI":  # values may lie in another file than the header
            held = np.asarray(self._volume.image.dataobj)
            return hashlib.sha256(file_sha256(self.path).encode() + held.tobytes("A")).hexdigest()
        files = {str(holder.filename) for holder in self._files.values() if holder.filename}
        hashes = [file_sha256(Path(file)) for file in sorted(files)]
        return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()

    @property
    def volume(self) -> Volume:
        return self._volume

    def labels_in_file_order(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return self._volume.stored(labels)

    def slice(self, index: int, intensity: Intensity = DEFAULT_INTENSITY) -> NDArray[np.uint8]:
        self.require_slice(index)
        values = self._values(index)
        if values.dtype == np.uint8:
            return as_rgb(values)
        if not over_volume(intensity):
            return as_rgb(spread(values, intensity))
        if intensity not in self._ends:
            self._ends[intensity] = volume_ends(lambda: map(self._values, range(self.slices)), intensity)
        return as_rgb(levels(values, *self._ends[intensity]))

    def values(self, index: int) -> NDArray[Any]:
        self.require_slice(index)
        return self._values(index)

    def _values(self, index: int) -> NDArray[Any]:
        return readable(self.path, lambda: self._volume.slice(index))

    def _noticed(self) -> Iterable[str]:
        if not self._volume.oriented:
            yield "the file does not say how it lies in the body; its axes are taken to be right, front and head"
        directions = self.grid.directions
        if directions is not None and abs(float(directions[0] @ directions[1])) > _RIGHT_ANGLE:
            yield "rows and columns are not at right angles: areas and volumes are not those of its voxels"


class PictureStudy(Study):
    """A picture's file: one slice, or its pages or frames, all of one size; it lies nowhere.

    Raises:
        ImageError: it cannot be read.
    """

    def __init__(self, name: str, path: Path) -> None:
        self.name, self.path, self.kind, self.plane = name, path, "picture", "acquired"
        count, _ = readable(path, lambda: slices_of(path))
        first = read_image(path, 0)
        self.grid = Grid(count, *first.shape[:2])
        self.spacing_from, self.remarks = "", ()

    @cached_property
    def identity(self) -> str:  # type: ignore[override]
        return file_sha256(self.path)

    def slice(self, index: int, intensity: Intensity = DEFAULT_INTENSITY) -> NDArray[np.uint8]:
        self.require_slice(index)
        found = read_image(self.path, index, intensity)
        if found.shape[:2] != (self.grid.rows, self.grid.columns):
            raise ImageError(
                f"{self.path} has pages of several sizes",
                "Leave --slices and --format out, and choose a page with --slice.",
            )
        return found


def volume_kind(path: Path) -> Kind:
    """Of a volume's file, by its suffix."""
    lower = path.name.lower()
    return "MetaImage" if lower.endswith(META_SUFFIXES) else "NRRD" if lower.endswith(ITK_SUFFIXES) else "NIfTI"
