"""Where the slices of a study lie in the body; areas in mm2, volumes in millilitres and written geometries follow."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Part:
    """A rectangle of pixels: rows from `top` up to, and without, `bottom`; columns from `left` without `right`."""

    top: int
    left: int
    bottom: int
    right: int


@dataclass(frozen=True)
class Grid:
    """The places of all pixels of a stack of slices, in DICOM's patient coordinates: mm to the left, back, head.

    Attributes:
        slices, rows, columns: how many.
        spacing: mm between two rows, and between two columns (the order of DICOM's PixelSpacing); None where the file
            does not say.
        directions: 2 x 3, unit vectors: where columns increase along a row, where rows increase along a column; None
            where the file does not say how the picture lies.
        positions: slices x 3, mm, of the centre of each slice's first pixel; None where the file does not say.
        thickness: mm, of a slice as the file tells it; it counts only where neighbours do not say more. None if it does
            not say.
        part: of each slice that the spacing is of, as a region of an ultrasound picture is; None: all of it. Outside
            nothing is known, so that no place follows from a spacing of this kind.
    """

    slices: int
    rows: int
    columns: int
    spacing: tuple[float, float] | None = None
    directions: NDArray[np.float64] | None = None
    positions: NDArray[np.float64] | None = None
    thickness: float | None = None
    part: Part | None = None

    @property
    def pixel_area(self) -> float | None:
        """mm2 of one pixel; None without a spacing."""
        return None if self.spacing is None else self.spacing[0] * self.spacing[1]

    @cached_property
    def normal(self) -> NDArray[np.float64] | None:
        """The unit vector across the slices, row by column. Slices of a tilted gantry do not follow along it."""
        if self.directions is None:
            return None
        across = np.cross(self.directions[0], self.directions[1])
        return across / np.linalg.norm(across)

    @cached_property
    def depths(self) -> NDArray[np.float64] | None:
        """mm of each slice along the normal; None without positions."""
        if self.normal is None or self.positions is None:
            return None
        return self.positions @ self.normal

    @cached_property
    def extents(self) -> NDArray[np.float64] | None:
        """mm that each slice stands for across the slices: half the way to both neighbours, at an end the whole way to
        the one there is, and of a slice by itself its thickness. None where neither is known."""
        if self.slices == 1 or self.depths is None:
            return None if self.thickness is None or self.slices > 1 else np.array([self.thickness])
        steps = np.abs(np.diff(self.depths))
        return (np.concatenate([steps[:1], steps]) + np.concatenate([steps, steps[-1:]])) / 2

    def affine(self) -> NDArray[np.float64] | None:
        """4 x 4: column, row and slice to mm right, front, head (NIfTI's coordinates); None where anything is unknown.

        Slices step from the first to the last in equal steps: right where they are equally far apart.
        """
        if self.spacing is None or self.directions is None or self.positions is None or self.part is not None:
            return None
        matrix = np.eye(4)
        matrix[:3, 0] = self.directions[0] * self.spacing[1]
        matrix[:3, 1] = self.directions[1] * self.spacing[0]
        if self.slices > 1:
            matrix[:3, 2] = (self.positions[-1] - self.positions[0]) / (self.slices - 1)
        else:
            assert self.normal is not None
            matrix[:3, 2] = self.normal * (self.thickness or 1.0)
        matrix[:3, 3] = self.positions[0]
        return np.diag([-1.0, -1.0, 1.0, 1.0]) @ matrix
