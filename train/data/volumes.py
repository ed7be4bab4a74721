"""Slices of NIfTI volumes, gzipped pictures, and labels out of any file. MONAI's readers decode."""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2m_edge.errors import ImageError
from s2m_edge.imaging.read import DICOM_SUFFIXES, NIFTI_SUFFIXES, read_image, read_mask, to_rgb

VOLUMES_HELD = 4  # a data set is read slice after slice: image and mask of this case and the next


def is_volume(path: Path) -> bool:
    """Whether the name is that of a NIfTI file."""
    return path.name.lower().endswith(NIFTI_SUFFIXES)


def read_picture(path: Path, slice_index: int | None = None, neighbours: int = 0) -> NDArray[np.uint8]:
    """A picture or a slice as RGB, H x W x 3, uint8.

    Args:
        path: whatever `read_image` opens, or such a picture gzipped.
        slice_index: of a volume.
        neighbours: 1 makes red, green and blue of the slice before, the slice, and the one after, stretched to 0..255
            together; at the ends a slice stands in for the missing one.

    Raises:
        ImageError: it cannot be read.
    """
    if not is_volume(path):
        with _unzipped(path) as plain:
            return read_image(plain, slice_index)
    planes = _planes(path)
    middle = planes.shape[0] // 2 if slice_index is None else slice_index
    _require_slice(path, middle, planes.shape[0])
    if neighbours == 0:
        return to_rgb(planes[middle])
    chosen = np.clip((middle - neighbours, middle, middle + neighbours), 0, planes.shape[0] - 1)
    return to_rgb(np.moveaxis(planes[chosen], 0, -1))


def read_label_file(path: Path, slice_index: int | None = None) -> NDArray[np.uint8]:
    """The values of a mask file, H x W, uint8: a picture's first channel, a NIfTI slice, a DICOM frame.

    Raises:
        ImageError: it cannot be read, or holds values that are no whole numbers from 0 to 255.
    """
    if is_volume(path):
        planes = _planes(path)
        index = planes.shape[0] // 2 if slice_index is None else slice_index
        _require_slice(path, index, planes.shape[0])
        return _whole(planes[index], path)
    if path.name.lower().endswith(DICOM_SUFFIXES):
        return _whole(_dicom_plane(path, slice_index), path)
    if path.suffix.lower() == ".gif":  # its colour numbers are its encoder's whim; what they show are the values
        return read_image(path, slice_index)[..., 0]
    with _unzipped(path) as plain:
        return read_mask(plain)


def _planes(path: Path) -> NDArray[Any]:
    """A NIfTI volume as slices x H x W; the last volumes are held in memory."""
    try:
        return _held_planes(path, path.stat().st_mtime_ns)
    except Exception as error:
        raise _unreadable(path, error) from None


@lru_cache(maxsize=VOLUMES_HELD)
def _held_planes(path: Path, modified: int) -> NDArray[Any]:
    from monai.data.image_reader import NibabelReader

    reader = NibabelReader()
    volume = np.asarray(reader.get_data(reader.read(str(path)))[0])
    while volume.ndim > 3:
        volume = volume[..., 0]
    volume = volume[..., None] if volume.ndim == 2 else volume
    planes = np.ascontiguousarray(volume.transpose(2, 1, 0))  # nibabel gives x before y
    planes.setflags(write=False)
    return planes


def _dicom_plane(path: Path, frame: int | None) -> NDArray[Any]:
    from monai.data.image_reader import PydicomReader

    try:
        reader = PydicomReader(swap_ij=False, affine_lps_to_ras=False)
        pixels = np.asarray(reader.get_data(reader.read(str(path)))[0])
    except Exception as error:
        raise _unreadable(path, error) from None
    if pixels.ndim == 2:
        return pixels
    index = pixels.shape[0] // 2 if frame is None else frame
    _require_slice(path, index, pixels.shape[0])
    return pixels[index]


def _whole(values: NDArray[Any], path: Path) -> NDArray[np.uint8]:
    rounded = np.rint(values)
    if not np.isfinite(values).all() or np.abs(rounded - values).max() > 1e-3 or values.min() < 0 or values.max() > 255:
        raise ImageError(f"{path} holds values that are no labels", "Labels are whole numbers from 0 to 255.")
    return rounded.astype(np.uint8)


def _require_slice(path: Path, index: int, count: int) -> None:
    if not 0 <= index < count:
        raise ImageError(f"{path} has no slice {index}", f"Its slices are 0 to {count - 1}.")


@contextmanager
def _unzipped(path: Path) -> Iterator[Path]:
    """`path`, or a temporary file with what a gzipped picture holds."""
    if path.suffix.lower() != ".gz":
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / path.stem
        try:
            plain.write_bytes(gzip.decompress(path.read_bytes()))
        except (OSError, EOFError) as error:
            raise _unreadable(path, error) from None
        try:
            yield plain
        except ImageError as error:  # name the file that the user knows
            raise ImageError(error.cause.replace(str(plain), str(path)), error.remedy) from None


def _unreadable(path: Path, error: BaseException) -> ImageError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return ImageError(f"{path} cannot be read ({reason})", "The file is missing, corrupt, or of another kind.")
