"""DICOM studies: a series of files with a slice each, or one file of many frames; read slice by slice."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2m_edge.errors import ImageError
from s2m_edge.imaging.dicom import count_frames, frame_values, is_grey, open_dicom, over_volume, show_frame
from s2m_edge.imaging.intensity import Intensity, volume_ends
from s2m_edge.imaging.read import as_rgb, readable
from s2m_edge.imaging.study.frames import Frame
from s2m_edge.imaging.study.order import Stack
from s2m_edge.imaging.study.study import DEFAULT_INTENSITY, Study


class DicomStudy(Study):
    """A stack of frames. Of a series one file is open at a time; of many frames in one file no more than one is read.

    Args:
        name: of the study.
        path: of the file, or of the folder of the series.
        stack: its frames in their order.
        header: of the one file of all frames, opened; None of a series.
        remarks: beside those of the order.
    """

    def __init__(self, name: str, path: Path, stack: Stack, header: Any = None, remarks: Sequence[str] = ()) -> None:
        self.name, self.path, self.grid = name, path, stack.grid
        self.kind = "DICOM series" if header is None else "DICOM frames"
        self.spacing_from, self.plane = stack.spacing_from, "acquired"
        self.remarks = (*remarks, *stack.remarks)
        self.frames = stack.frames
        self.identity = instances_hash(frame.uid or str(frame.path) for frame in stack.frames)
        self._header, self._count = header, 1 if header is None else count_frames(header)
        self._ends: dict[Intensity, tuple[float, float]] = {}

    def slice(self, index: int, intensity: Intensity = DEFAULT_INTENSITY) -> NDArray[np.uint8]:
        self.require_slice(index)
        ends = None
        if over_volume(intensity) and self.slices > 1:
            if intensity not in self._ends:
                self._ends[intensity] = volume_ends(self._values, intensity)
            ends = self._ends[intensity]
        frame = self.frames[index]
        return as_rgb(readable(frame.path, lambda: self._shown(frame, intensity, ends)))

    def values(self, index: int) -> NDArray[Any]:
        self.require_slice(index)
        frame = self.frames[index]
        header = readable(frame.path, lambda: self._opened(frame))
        if not is_grey(header):
            return self.slice(index)
        return readable(frame.path, lambda: frame_values(header, frame.path, frame.index))

    @property
    def datasets(self) -> Sequence[Any]:
        return Headers(tuple(dict.fromkeys(frame.path for frame in self.frames)))

    def labels_in_file_order(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if self._header is None:
            return labels
        stored = np.zeros((self._count, *labels.shape[1:]), np.uint8)
        stored[[frame.index for frame in self.frames]] = labels
        return stored

    def _opened(self, frame: Frame) -> Any:
        if self._header is not None:
            return self._header
        header = open_dicom(frame.path)
        rows, columns = int(header.Rows), int(header.Columns)
        if (rows, columns) != (self.grid.rows, self.grid.columns):
            raise ImageError(f"{frame.path} has changed since it was listed", "Run it again.")
        return header

    def _shown(self, frame: Frame, intensity: Intensity, ends: tuple[float, float] | None) -> NDArray[np.uint8]:
        return show_frame(self._opened(frame), frame.path, frame.index, intensity, ends)

    def _values(self) -> Iterable[NDArray[Any]]:
        for frame in self.frames:
            read = partial(lambda frame: frame_values(self._opened(frame), frame.path, frame.index), frame)
            yield readable(frame.path, read)


@dataclass(frozen=True)
class Headers(Sequence[Any]):
    """Data sets of files without their pixels, read when they are asked for and not kept: those of a thousand files
    would take hundreds of megabytes."""

    paths: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: Any) -> Any:
        import pydicom

        if isinstance(index, slice):
            return Headers(self.paths[index])
        path = self.paths[index]
        return readable(path, lambda: pydicom.dcmread(path, stop_before_pixels=True, force=True))


def instances_hash(uids: Iterable[str]) -> str:
    """SHA-256 of the instances of a series, whatever their order."""
    return hashlib.sha256("\n".join(sorted(set(uids))).encode("utf-8", "replace")).hexdigest()
