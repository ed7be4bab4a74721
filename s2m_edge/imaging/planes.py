"""Which way up a volume's slices are shown: as a viewer shows them, whatever order the file stores.

Axes of the body, as DICOM has them: x grows to the patient's left, y to the back (posterior), z to the head (superior).
Axial slices have x to the right and y down, coronal ones x to the right and the head up, sagittal ones y to the right
and the head up: the radiological convention, in which the patient's right is at the picture's left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from s2m_edge.errors import ConfigurationError

Plane = Literal["axial", "coronal", "sagittal", "stored"]
PLANES: tuple[str, ...] = get_args(Plane)

# Per plane: the body axes (0 x, 1 y, 2 z) of slices, rows and columns, and which of them run backwards on the screen.
_AXES = {"axial": (2, 1, 0), "coronal": (1, 2, 0), "sagittal": (0, 2, 1)}
_BACKWARDS = {"axial": (), "coronal": (2,), "sagittal": (2,)}


@dataclass(frozen=True)
class Layout:
    """How the stored axes of a volume become slices, rows and columns.

    Attributes:
        axes: the stored axis of slices, of rows and of columns.
        reversed: whether each of them runs backwards.
    """

    axes: tuple[int, int, int]
    reversed: tuple[bool, bool, bool]

    def show(self, volume: NDArray[Any]) -> NDArray[Any]:
        """A stored volume, three axes and perhaps one of colour behind them, as slices x rows x columns (x colour)."""
        shown = np.transpose(volume, (*self.axes, *range(3, volume.ndim)))
        return shown[tuple(slice(None, None, -1 if back else 1) for back in self.reversed)]

    def store(self, shown: NDArray[Any]) -> NDArray[Any]:
        """The inverse of `show`: slices x rows x columns as the file stores them."""
        forward = shown[tuple(slice(None, None, -1 if back else 1) for back in self.reversed)]
        return np.ascontiguousarray(np.transpose(forward, np.argsort(self.axes)))

    def stored_index(self, index: int, shape: tuple[int, ...]) -> int:
        """The place along the stored axis of slices of the slice that is shown as number `index`."""
        return shape[self.axes[0]] - 1 - index if self.reversed[0] else index


STORED = Layout((2, 1, 0), (False, False, False))
"""The last axis as slices, the second as rows, the first as columns, all as stored."""


def find_plane(name: str) -> Plane:
    """A plane by name.

    Raises:
        ConfigurationError: there is none of that name.
    """
    if name not in PLANES:
        raise ConfigurationError(f"there is no plane {name!r}", f"Choose {', '.join(PLANES)}.")
    return name  # type: ignore[return-value]


def layout(affine: NDArray[np.float64], shape: tuple[int, int, int], plane: Plane) -> Layout:
    """The layout of a volume.

    A volume of one slice is shown along its axis of one, whatever the plane: another would be a line.

    Args:
        affine: 4 x 4, voxel to millimetres in NIfTI's axes: right, front, head.
        shape: of the stored volume.
    """
    if plane == "stored":
        return STORED
    directions = _directions(affine)
    if directions is None:
        return STORED
    flat = [axis for axis in range(3) if shape[axis] == 1]
    if len(flat) == 1:
        body = directions[flat[0]][0]
        plane = next(name for name, axes in _AXES.items() if axes[0] == body)  # type: ignore[assignment]
    by_body = {body: (axis, towards) for axis, (body, towards) in enumerate(directions)}
    axes, back = [], []
    for body in _AXES[plane]:
        axis, towards = by_body[body]
        axes.append(axis)
        back.append((towards < 0) != (body in _BACKWARDS[plane]))
    return Layout((axes[0], axes[1], axes[2]), (back[0], back[1], back[2]))


def _directions(affine: NDArray[np.float64]) -> list[tuple[int, int]] | None:
    """Per stored axis the body axis that it runs along (0 x, 1 y, 2 z) and whether towards its growth; None where the
    affine names no three axes."""
    import nibabel

    if not np.isfinite(affine).all():
        return None
    found = nibabel.io_orientation(affine)  # type: ignore[attr-defined]
    if np.isnan(found).any():
        return None
    # NIfTI's axes grow to the right, the front and the head; the body's here to the left, the back and the head.
    growth = (-1, -1, 1)
    return [(int(axis), int(sign) * growth[int(axis)]) for axis, sign in found]
