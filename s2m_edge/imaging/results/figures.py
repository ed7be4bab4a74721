"""Areas, volumes and diameters of the classes of a study: in pixels, and in mm2, ml and mm where the files tell how
large a pixel is. What they do not say is None, and never guessed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2m_edge.imaging.classes import SegmentClass
from s2m_edge.imaging.grid import Grid

Point = tuple[float, float]
"""Row and column, in pixels; (0, 0) is the centre of the first pixel of the slice."""


@dataclass(frozen=True)
class Diameter:
    """The longest line within one connected piece of a class in one slice.

    Attributes:
        mm: its length.
        slice: of which it lies in.
        first, second: its ends.
    """

    mm: float
    slice: int
    first: Point
    second: Point


@dataclass(frozen=True)
class ClassFigures:
    """What was measured of one class.

    Attributes:
        name: of the class.
        label: its value in the mask.
        area_pixels: of each slice, in the study's order.
        area_mm2: of each slice; None without a spacing.
        volume_ml: of all slices: each area times what the slice stands for; None without spacing or extents.
        diameter: the largest in-plane one; None without a spacing, or where no pixel is of the class.
        unmeasured: why there are no figures in mm although there is a spacing; empty where there are.
    """

    name: str
    label: int
    area_pixels: tuple[int, ...]
    area_mm2: tuple[float, ...] | None
    volume_ml: float | None
    diameter: Diameter | None
    unmeasured: str = ""

    @property
    def pixels(self) -> int:
        """Of all slices."""
        return sum(self.area_pixels)


def volume_ml(area_pixels: Sequence[int], grid: Grid) -> float | None:
    """Millilitres of a class: its area in each slice times what the slice stands for; None where the files do not say
    how large every pixel is, or what a slice stands for.

    Args:
        area_pixels: of each slice of the grid.
    """
    area, extents = grid.pixel_area, grid.extents
    if area is None or extents is None or grid.part is not None:
        return None
    return math.fsum(count * area * float(extent) for count, extent in zip(area_pixels, extents, strict=True)) / 1000.0


def unmeasured(labels: NDArray[np.uint8], grid: Grid, label: int) -> str:
    """Why a class has no figures in mm although there is a spacing: it leaves the part that the spacing is of."""
    part = grid.part
    if grid.spacing is None or part is None:
        return ""
    rows, columns = slice(part.top, part.bottom), slice(part.left, part.right)
    outside = sum(int((plane == label).sum() - (plane[rows, columns] == label).sum()) for plane in labels)
    if not outside:
        return ""
    return f"{outside} of its pixels lie outside the part of the picture whose pixels have a known size"


def measure(labels: NDArray[np.uint8], grid: Grid, classes: Sequence[SegmentClass]) -> tuple[ClassFigures, ...]:
    """Figures of every class, in their order; of one that occurs nowhere they are 0.

    Args:
        labels: slices x rows x columns, 0 background, k of `classes[k - 1]`.
        grid: of the same slices, rows and columns.
    """
    if labels.shape != (grid.slices, grid.rows, grid.columns):
        raise ValueError(f"labels are {labels.shape}, the grid {grid.slices} x {grid.rows} x {grid.columns}")
    counts = np.stack([np.bincount(plane.reshape(-1), minlength=256) for plane in labels])
    return tuple(_of_class(labels, grid, entry.name, label, counts[:, label]) for label, entry in enumerate(classes, 1))


def _of_class(labels: NDArray[np.uint8], grid: Grid, name: str, label: int, counts: NDArray[np.int64]) -> ClassFigures:
    pixels, area = tuple(int(count) for count in counts), grid.pixel_area
    reason = unmeasured(labels, grid, label)
    if reason:
        return ClassFigures(name, label, pixels, None, None, None, reason)
    areas = None if area is None else tuple(count * area for count in pixels)
    diameter = _largest(labels, grid.spacing, label, pixels)
    return ClassFigures(name, label, pixels, areas, volume_ml(pixels, grid), diameter)


def _largest(
    labels: NDArray[np.uint8], spacing: tuple[float, float] | None, label: int, counts: Sequence[int]
) -> Diameter | None:
    if spacing is None:
        return None
    best: Diameter | None = None
    for index, count in enumerate(counts):
        if not count:
            continue
        found = longest_line(labels[index] == label, spacing, 0.0 if best is None else best.mm)
        if found is not None:
            best = Diameter(found[0], index, found[1], found[2])
    return best


def longest_line(
    mask: NDArray[np.bool_], spacing: tuple[float, float], above: float = 0.0
) -> tuple[float, Point, Point] | None:
    """The longest line between two points of the outline of one connected piece of a mask.

    The outline runs through the middles of the edges between a pixel inside and one outside, as the contour at one half
    does, so that n pixels in a row of 1 mm are n mm long. Pieces are connected over corners too. Exact: over all pairs
    of corners of the convex hull.

    Args:
        mask: rows x columns.
        spacing: mm between rows, and between columns.
        above: in mm; what is no longer is not looked for.

    Returns:
        The length in mm and both ends, the upper one first; None where nothing is longer than `above`.
    """
    from scipy import ndimage

    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    corner = np.array([rows[0], columns[0]])
    within = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    if math.hypot(within.shape[0] * spacing[0], within.shape[1] * spacing[1]) <= above:
        return None
    pieces, _ = ndimage.label(within, structure=np.ones((3, 3)))  # type: ignore[misc]
    best: tuple[float, Point, Point] | None = None
    for number, box in enumerate(ndimage.find_objects(pieces), 1):
        height, width = (part.stop - part.start for part in box)
        reach = math.hypot(height * spacing[0], width * spacing[1])
        if reach <= (above if best is None else best[0]):
            continue
        ends = _outline(pieces[box] == number) + corner + np.array([box[0].start, box[1].start])
        length, first, second = _farthest(ends, np.asarray(spacing, dtype=np.float64))
        if length > (above if best is None else best[0]):
            best = length, first, second
    return best


def _outline(piece: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Points of a piece's outline, n x 2 (row, column): of each row the leftmost and the rightmost, of each column the
    uppermost and the lowest. No other can be a corner of the convex hull."""
    found: list[NDArray[np.float64]] = []
    for axis in (0, 1):
        lines = piece if axis == 0 else piece.T
        at = np.flatnonzero(lines.any(axis=1))
        first = lines[at].argmax(axis=1) - 0.5
        last = lines.shape[1] - 1 - lines[at][:, ::-1].argmax(axis=1) + 0.5
        for ends in (first, last):
            pair = (at.astype(np.float64), ends)
            found.append(np.stack(pair if axis == 0 else pair[::-1], axis=1))
    return np.unique(np.concatenate(found), axis=0)


def _farthest(points: NDArray[np.float64], spacing: NDArray[np.float64]) -> tuple[float, Point, Point]:
    from scipy.spatial import ConvexHull

    scaled = points * spacing
    corners: NDArray[Any] = np.sort(ConvexHull(scaled).vertices)  # in the order of rows, so that ties fall alike
    scaled = scaled[corners]
    best, pair = -1.0, (0, 0)
    for index, point in enumerate(scaled[:-1]):
        squared = ((scaled[index + 1 :] - point) ** 2).sum(axis=1)
        at = int(squared.argmax())
        if squared[at] > best:
            best, pair = float(squared[at]), (index, index + 1 + at)
    first, second = (points[corners[index]] for index in pair)
    return math.sqrt(best), (float(first[0]), float(first[1])), (float(second[0]), float(second[1]))
