"""Volumes, slice by slice in a named plane: NIfTI and Analyze by nibabel, only the slices asked for; others whole."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2m_edge.errors import ImageError
from s2m_edge.imaging.folders import ITK_SUFFIXES
from s2m_edge.imaging.limits import require_voxels
from s2m_edge.imaging.planes import Layout, Plane, layout

SAME_GRID = 0.25
"""Of a voxel: corners of one grid that are further apart are two grids. Tools store affines rounded differently."""


@dataclass(frozen=True)
class Volume:
    """An opened file.

    Attributes:
        path: of the file.
        image: nibabel's; its data are read when they are asked for.
        affine: 4 x 4, voxel to millimetres (right, front, head).
        oriented: whether the file says how it lies in the body; otherwise the affine is nibabel's assumption.
        shape: of the three axes.
        number: of the volume within a series of them.
        shown: how its axes become slices, rows and columns.
        volumes: how many the file holds; chosen: which of them this is.
    """

    path: Path
    image: Any
    affine: NDArray[np.float64]
    oriented: bool
    shape: tuple[int, int, int]
    number: int
    shown: Layout
    volumes: int = 1
    chosen: int = 0

    @property
    def slices(self) -> int:
        """How many there are in the plane."""
        return self.shape[self.shown.axes[0]]

    @property
    def colour(self) -> bool:
        """Whether each voxel is a red, a green and a blue."""
        return self.image.get_data_dtype().fields is not None

    def slice(self, index: int) -> NDArray[Any]:
        """One slice, H x W or H x W x 3, in the file's units.

        Raises:
            ImageError: there is none of that number, or it cannot be read.
        """
        if not 0 <= index < self.slices:
            raise ImageError(
                f"{self.path} has no slice {index}", f"Choose one of 0..{self.slices - 1}; there are {self.slices}."
            )
        along = self.shown.axes[0]
        where: list[Any] = [slice(None)] * 3
        at = self.shown.stored_index(index, self.shape)
        where[along] = slice(at, at + 1)
        part = self._read(tuple(where))
        return self.shown.show(part)[0]

    def whole(self) -> NDArray[Any]:
        """All slices, slices x H x W (x 3)."""
        return self.shown.show(self._read((slice(None),) * 3))

    def stored(self, slices: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Labels of all slices, slices x H x W, in the order and shape of the file."""
        return self.shown.store(slices).reshape(self.image.shape[:3])

    def _read(self, where: tuple[Any, ...]) -> NDArray[Any]:
        stored = self.image.shape
        full = [*where, *(0 for _ in stored[3:])][: len(stored)]
        if len(stored) > 3:
            full[3] = self.number
        try:
            values = np.asarray(self.image.dataobj[tuple(full)])
        except Exception as error:  # nibabel, gzip, zlib and the file system each have their own
            raise _unreadable(self.path, error) from None
        values = values.reshape(values.shape + (1,) * (3 - values.ndim)) if values.ndim < 3 else values
        if values.dtype.fields is not None:
            return np.stack([values[name] for name in ("R", "G", "B")], axis=-1)
        return values


def open_volume(
    path: Path, plane: Plane = "axial", number: int | None = None, affine: NDArray[np.float64] | None = None
) -> Volume:
    """Open a file; of NIfTI and Analyze its header alone is read.

    Args:
        plane: of its slices.
        number: which volume of a series of them (a 4-D file).
        affine: instead of the file's own: of the image that a mask without an orientation belongs to.

    Raises:
        ImageError: it cannot be read, is a series and no number is given, is no volume of real values or colours, or is
            larger than the limit.
        MissingBackendError: it is NRRD or MetaImage, and SimpleITK is not installed.
    """
    if path.name.lower().endswith(ITK_SUFFIXES):
        from s2m_edge.imaging.itk import open_itk_volume

        return open_itk_volume(path, plane, number)
    import nibabel

    try:
        image: Any = nibabel.load(path)  # type: ignore[attr-defined]
        stored, dtype = tuple(int(side) for side in image.shape), image.get_data_dtype()
        own = np.asarray(image.affine, dtype=np.float64)
    except Exception as error:
        raise _unreadable(path, error) from None
    if dtype.kind == "c":
        raise ImageError(f"{path} holds complex values", "Save their magnitude.")
    if dtype.fields is not None and not {"R", "G", "B"} <= set(dtype.fields):
        raise ImageError(f"{path} holds values of the type {dtype}", "Save grey or RGB values.")
    if len(stored) < 2 or min(stored) < 1:
        raise ImageError(f"{path} has the shape {stored}", "A volume has two or three axes.")
    series = [side for side in stored[3:] if side > 1]
    if len(series) > 1 or (series and stored[3] == 1):
        raise ImageError(
            f"{path} has the shape {' x '.join(map(str, stored))}", "Save the volume to be segmented by itself."
        )
    count = series[0] if series else 1
    if number is None and count > 1:
        raise ImageError(f"{path} is a series of {count} volumes", f"Choose one of 0..{count - 1} with --volume.")
    chosen = 0 if number is None else number
    if not 0 <= chosen < count:
        raise ImageError(f"{path} has no volume {chosen}", f"Choose one of 0..{count - 1} with --volume.")
    shape = (stored[0], stored[1], stored[2] if len(stored) > 2 else 1)
    require_voxels(path, shape)
    used = own if affine is None else affine
    return Volume(path, image, used, _is_oriented(image), shape, chosen, layout(used, shape, plane), count, chosen)


def require_same_grid(first: Volume, second: Volume) -> None:
    """Raise ImageError unless both have one grid: the same voxels at the same places, in whatever order.

    Where one of them does not say how it lies, the number of voxels alone is compared.
    """
    ours, theirs = (np.asarray(volume.shape)[list(volume.shown.axes)] for volume in (first, second))
    if not np.array_equal(ours, theirs):
        raise ImageError(
            f"{second.path} and {first.path} are not one grid "
            f"({' x '.join(map(str, theirs))} and {' x '.join(map(str, ours))} slices, rows and columns)",
            "Resample the mask to its image.",
        )
    if not (first.oriented and second.oriented):
        return
    apart = np.abs(_corners(first) - _corners(second)).max()
    voxel = np.linalg.norm(first.affine[:3, :3], axis=0)
    if apart > SAME_GRID * voxel[voxel > 0].min(initial=np.inf):
        raise ImageError(
            f"{second.path} and {first.path} are not one grid (up to {apart:.1f} mm apart)",
            "Resample the mask to its image.",
        )


def labels_on_grid(volume: Volume, stored: NDArray[np.uint8], description: str = "") -> bytes:
    """Labels as the file stores them (`Volume.stored`) as NIfTI, not compressed, on the grid of their volume.

    Args:
        description: of the header, up to 80 bytes.
    """
    import nibabel

    labels: Any = nibabel.Nifti1Image(stored, volume.affine)  # type: ignore[attr-defined]
    labels.header["descrip"] = description
    if volume.oriented and hasattr(volume.image.header, "get_sform"):
        header = volume.image.header
        labels.set_sform(header.get_sform(), int(header["sform_code"]))
        labels.set_qform(header.get_qform(), int(header["qform_code"]))
    return labels.to_bytes()


def _corners(volume: Volume) -> NDArray[np.float64]:
    """The places of the eight corner voxels as they are shown, 2 x 2 x 2 x 3, in millimetres."""
    ends = [np.array([0, side - 1]) for side in volume.shape]
    grid = np.stack(np.meshgrid(*ends, indexing="ij"), axis=-1).astype(np.float64)
    return volume.shown.show(grid @ volume.affine[:3, :3].T + volume.affine[:3, 3])


def _is_oriented(image: Any) -> bool:
    header = image.header
    try:
        return bool(int(header["sform_code"]) or int(header["qform_code"]))
    except (KeyError, ValueError):  # Analyze has neither
        return False


def _unreadable(path: Path, error: BaseException) -> ImageError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return ImageError(f"{path} cannot be read ({reason})", "The file is missing, corrupt, or of another kind.")
