"""Reading pictures of every kind to 8-bit RGB: docs/pixels.md has the table of what is applied to which.

One meaning for training, calibration, evaluation, prediction and the desktop app: values of 8 bits are taken as they
are stored and shown, deeper ones by the network's rule (`Intensity`), and everything comes upright.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from s2m_edge.errors import ImageError, S2MEdgeError
from s2m_edge.imaging.dicom import read_dicom
from s2m_edge.imaging.folders import VOLUME_SUFFIXES, looks_like_dicom
from s2m_edge.imaging.intensity import Intensity, spread
from s2m_edge.imaging.limits import require_pixels
from s2m_edge.imaging.picture import decoded_upright, eight_bits, read_picture
from s2m_edge.imaging.planes import Plane
from s2m_edge.imaging.tiff import without_alpha
from s2m_edge.imaging.volume import open_volume
from s2m_edge.silence import without_warnings

T = TypeVar("T")
MINIMUM_SIDE = 8
DEFAULT_INTENSITY = Intensity()


def read_image(
    path: Path,
    slice_index: int | None = None,
    intensity: Intensity = DEFAULT_INTENSITY,
    *,
    plane: Plane = "axial",
    volume: int | None = None,
) -> NDArray[np.uint8]:
    """One picture as RGB, H x W x 3, uint8.

    Args:
        path: a file that Pillow, tifffile, nibabel or pydicom opens.
        slice_index: of a volume in `plane`, of DICOM frames or TIFF pages, the middle one by default; of an animation,
            its first by default.
        intensity: the network's rule for values of more than 8 bits.
        plane: along which NIfTI volumes are cut.
        volume: which one of a series (4-D NIfTI).

    Raises:
        ImageError: missing, empty, corrupt, larger than the limit, or smaller than 8 x 8 pixels.
    """
    path = Path(path)
    pixels = readable(path, lambda: _read(path, slice_index, intensity, plane, volume))
    return as_rgb(_large_enough(pixels, path))


def readable(path: Path, read: Callable[[], T]) -> T:
    """What a reader makes of a file, without its warnings, and with its errors in one line.

    Raises:
        ImageError: missing, empty, corrupt, or whatever the reader refuses.
    """
    if not path.is_file():
        raise ImageError(f"there is no image {path}", "Check the path.")
    if path.stat().st_size == 0:
        raise ImageError(f"{path} is empty (0 bytes)", "Copy the image again.")
    try:
        with without_warnings(Warning):
            return read()
    except S2MEdgeError:
        raise
    except MemoryError:
        raise ImageError(f"{path} does not fit in memory", "Use a smaller image.") from None
    except Exception as error:  # every decoder has its own exceptions; all mean the same to the user
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ImageError(
            f"{path} cannot be read as an image ({reason})", "The file is corrupt or of a kind that is not supported."
        ) from None


def _read(
    path: Path, slice_index: int | None, intensity: Intensity, plane: Plane, volume: int | None
) -> NDArray[np.uint8]:
    if is_volume(path):
        opened = open_volume(path, plane, volume)
        index = opened.slices // 2 if slice_index is None else slice_index
        values = opened.slice(index)
        if values.dtype == np.uint8:
            return values
        return spread(values, intensity, opened.whole() if intensity.over == "volume" else None)
    if looks_like_dicom(path):
        return read_dicom(path, slice_index, intensity)
    return read_picture(path, slice_index, intensity)


def picture_in_memory(image: Any, intensity: Intensity = DEFAULT_INTENSITY) -> NDArray[np.uint8]:
    """A picture that is no file as RGB, H x W x 3, uint8: what `read_image` makes of a file with these values.

    Args:
        image: of Pillow, turned as its orientation asks; or an array H x W (grey), H x W x 3 (RGB) or H x W x 4, whose
            alpha is dropped: uint8 as it is, other numbers by `intensity`.

    Raises:
        ImageError: of another shape or type, with a value that is no number, or smaller than 8 x 8 pixels.
    """
    if isinstance(image, np.ndarray):
        shaped = image.ndim == 2 or (image.ndim == 3 and image.shape[2] in (3, 4))
        if not shaped or image.dtype.kind not in "uif":
            raise ImageError(
                f"the picture is {image.dtype} {image.shape}", "Give RGB, height x width x 3, uint8, or grey levels."
            )
        values = without_alpha(image)
        pixels = values if values.dtype == np.uint8 else spread(values, intensity)
    elif hasattr(image, "getexif"):
        require_pixels("the picture", *image.size)
        pixels = eight_bits(decoded_upright(image), intensity)
    else:
        raise ImageError(
            f"a picture of type {type(image).__name__} is not known", "Give a path, an array, or a picture of Pillow."
        )
    return as_rgb(_large_enough(pixels, "the picture"))


def _large_enough(pixels: NDArray[np.uint8], name: object) -> NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    if min(height, width) < MINIMUM_SIDE:
        raise ImageError(
            f"{name} is {width} x {height} pixels", f"Images need at least {MINIMUM_SIDE} pixels on each side."
        )
    return pixels


def as_rgb(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """8-bit levels H x W, or H x W x 3, as H x W x 3."""
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    return np.ascontiguousarray(pixels)


def is_volume(path: Path) -> bool:
    """Whether the name is that of a volume: NIfTI, Analyze, NRRD or MetaImage."""
    return path.name.lower().endswith(VOLUME_SUFFIXES)
