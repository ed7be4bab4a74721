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
from s2m_edge.imaging.intensity import Intensity, spread
from s2m_edge.imaging.masks import Colours, read_mask
from s2m_edge.imaging.read import DEFAULT_INTENSITY, as_rgb, is_volume, read_image
from s2m_edge.imaging.volume import open_volume, require_same_grid

VOLUMES_HELD = 4  # a data set is read slice after slice: image and mask of this case and the next


def read_picture(
    path: Path, slice_index: int | None = None, neighbours: int = 0, intensity: Intensity = DEFAULT_INTENSITY
) -> NDArray[np.uint8]:
    """A picture or a slice as RGB, H x W x 3, uint8.

    Args:
        path: whatever `read_image` opens, or such a picture gzipped.
        slice_index: of a volume, along the body's axis (axial).
        neighbours: 1 makes red, green and blue of the slice before, the slice, and the one after, brought to 0..255
            together; at the ends a slice stands in for the missing one.
        intensity: the network's rule for values of more than 8 bits.

    Raises:
        ImageError: it cannot be read.
    """
    if not is_volume(path):
        with _unzipped(path) as plain:
            return read_image(plain, slice_index, intensity)
    planes = _planes(path)
    middle = planes.shape[0] // 2 if slice_index is None else slice_index
    _require_slice(path, middle, planes.shape[0])
    shown = planes[middle]
    if neighbours and planes.ndim == 3:
        chosen = np.clip((middle - neighbours, middle, middle + neighbours), 0, planes.shape[0] - 1)
        shown = np.moveaxis(planes[chosen], 0, -1)
    if shown.dtype != np.uint8:
        shown = spread(shown, intensity, planes if intensity.over == "volume" else None)
    return as_rgb(shown)


def read_label_file(
    path: Path, slice_index: int | None = None, colours: Colours = (), image: Path | None = None
) -> NDArray[np.uint8]:
    """The values of a mask file, H x W, uint8: of a picture or a DICOM frame (see `read_mask`), or a NIfTI slice.

    Args:
        slice_index: of a volume or of frames; the middle one by default.
        colours: what the colours of a picture stand for, as in `Labelling`.
        image: whose mask it is. Of volumes both must be one grid; the mask's slices are then those of the image, in
            whatever order either is stored.

    Raises:
        ImageError: it cannot be read, holds values that are no whole numbers from 0 to 255, or is another grid.
    """
    if is_volume(path):
        planes = _planes(path, image if image is not None and is_volume(image) else None)
        if planes.ndim != 3:
            raise ImageError(f"{path} holds colours", "Save labels as whole numbers from 0 to 255.")
        index = planes.shape[0] // 2 if slice_index is None else slice_index
        _require_slice(path, index, planes.shape[0])
        return _whole(planes[index], path)
    with _unzipped(path) as plain:
        return read_mask(plain, slice_index, colours)


def _planes(path: Path, image: Path | None = None) -> NDArray[Any]:
    """A volume as axial slices x H x W (x 3); the last volumes are held in memory."""
    try:
        return _held_planes(path, path.stat().st_mtime_ns, image)
    except ImageError:
        raise
    except Exception as error:
        raise _unreadable(path, error) from None


@lru_cache(maxsize=VOLUMES_HELD)
def _held_planes(path: Path, modified: int, image: Path | None) -> NDArray[Any]:
    opened = open_volume(path)
    if image is not None:
        of = open_volume(image)
        if not opened.oriented or not of.oriented:  # one of them does not say how it lies: as the other does
            opened = open_volume(path, affine=of.affine)
        require_same_grid(of, opened)
    planes = np.ascontiguousarray(opened.whole())
    planes.setflags(write=False)
    return planes


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
