"""A DICOM study cut along another plane than the acquired one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2m_edge.errors import ImageError
from s2m_edge.imaging.grid import Grid
from s2m_edge.imaging.intensity import Intensity
from s2m_edge.imaging.planes import Layout, Plane, layout
from s2m_edge.imaging.scratch import scratch_array
from s2m_edge.imaging.study.order import is_regular
from s2m_edge.imaging.study.study import DEFAULT_INTENSITY, Study

_TO_FRONT = np.array([-1.0, -1.0, 1.0])


class CutStudy(Study):
    """A study whose slices run across those of another one.

    Its pixels are those that the acquired slices show. Where they are spread between percentiles, those of all slices
    count, for each new slice has a part of every one of them.

    Args:
        acquired: the study as the scanner made it.
        plane: along which it is cut.

    Raises:
        ImageError: its slices make no regular grid: no plane but the acquired one is there.
    """

    def __init__(self, acquired: Study, plane: Plane) -> None:
        affine = acquired.grid.affine()
        if affine is None or not is_regular(acquired.grid):
            raise ImageError(
                f"{acquired.name} cannot be cut along the {plane} plane: its slices are not equally far apart along "
                "their normal, or do not say where they lie",
                "Leave --plane out: the slices are taken as the scanner made them.",
            )
        grid = acquired.grid
        self._stored = (grid.columns, grid.rows, grid.slices)
        self._layout = layout(affine, self._stored, plane)
        self.acquired, self.plane, self.kind = acquired, plane, acquired.kind
        self.name, self.path, self.identity = acquired.name, acquired.path, acquired.identity
        self.spacing_from, self.remarks = acquired.spacing_from, acquired.remarks
        self.grid = shown_grid(affine, self._stored, self._layout)
        self._levels: dict[Intensity, NDArray[np.uint8]] = {}

    @property
    def datasets(self) -> Any:
        return self.acquired.datasets

    def labels_in_file_order(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        acquired = self._layout.store(labels).transpose(2, 1, 0)  # slices x rows x columns, as the scanner made them
        return self.acquired.labels_in_file_order(np.ascontiguousarray(acquired))

    def slice(self, index: int, intensity: Intensity = DEFAULT_INTENSITY) -> NDArray[np.uint8]:
        self.require_slice(index)
        if intensity not in self._levels:
            self._levels[intensity] = self._shown(replace(intensity, over="volume"))
        stored = self._levels[intensity].transpose(2, 1, 0, 3)
        where: list[Any] = [slice(None)] * 3
        at = self._layout.stored_index(index, self._stored)
        where[self._layout.axes[0]] = slice(at, at + 1)
        return np.ascontiguousarray(self._layout.show(stored[tuple(where)])[0])

    def _shown(self, intensity: Intensity) -> NDArray[np.uint8]:
        grid = self.acquired.grid
        kept = scratch_array((grid.slices, grid.rows, grid.columns, 3))
        for number in range(grid.slices):
            kept[number] = self.acquired.slice(number, intensity)
        return kept


def shown_grid(
    affine: NDArray[np.float64], shape: tuple[int, int, int], shown: Layout, millimetres: float = 1.0
) -> Grid:
    """The grid of a volume's slices as a layout shows them.

    Args:
        affine: 4 x 4, stored voxel to the file's unit, in NIfTI's axes: right, front, head.
        shape: of the stored volume.
        millimetres: of the file's unit.
    """
    steps = affine[:3, :3] * millimetres * _TO_FRONT[:, None]
    origin = affine[:3, 3] * millimetres * _TO_FRONT
    ways = []
    for axis, back in zip(shown.axes, shown.reversed, strict=True):
        ways.append(-steps[:, axis] if back else steps[:, axis])
        if back:
            origin = origin + steps[:, axis] * (shape[axis] - 1)
    lengths = [float(np.linalg.norm(way)) for way in ways]
    slices, rows, columns = (shape[axis] for axis in shown.axes)
    if not np.isfinite(affine).all() or min(lengths) <= 0:
        return Grid(slices, rows, columns)
    return Grid(
        slices,
        rows,
        columns,
        (lengths[1], lengths[2]),
        np.array([ways[2] / lengths[2], ways[1] / lengths[1]]),
        origin + np.arange(slices)[:, None] * ways[0],
        lengths[0],
    )
