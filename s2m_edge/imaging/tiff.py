"""TIFF pages of more than 8 bits, by tifffile: Pillow has no half and double precision, and no 16-bit colours."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2m_edge.errors import ImageError
from s2m_edge.imaging.limits import require_pixels

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
MOST_SAMPLES = 8  # of a pixel: more are a measurement, not a picture
MIN_IS_WHITE, PALETTE = 0, 3  # of PhotometricInterpretation
ORIENTATION = 274


@dataclass(frozen=True)
class TiffPages:
    """The pages of a file, their headers within the limits.

    Attributes:
        path: of the file.
        count: how many.
    """

    path: Path
    count: int

    @property
    def first_shown(self) -> int:
        """The page that is taken where none is named: the middle one."""
        return self.count // 2

    def chosen(self, index: int | None) -> int:
        """The page of that number, or `first_shown`.

        Raises:
            ImageError: there is none.
        """
        page = self.first_shown if index is None else index
        if not 0 <= page < self.count:
            raise ImageError(f"{self.path} has no slice {page}", f"Choose one of 0..{self.count - 1} with --slice.")
        return page

    def orientation(self, page: int) -> int:
        """The page's orientation, 1 to 8; 1 where it names none that there is."""
        import tifffile

        with tifffile.TiffFile(self.path) as file:
            tag = file.pages[page].tags.get(ORIENTATION)  # type: ignore[union-attr]
        return int(tag.value) if tag is not None and tag.value in range(1, 9) else 1

    def deep(self, page: int) -> NDArray[Any] | None:
        """The values of a page of more than 8 bits, or of signed or fractional ones, as they are meant: H x W, or
        H x W x 3, not turned upright, min-is-white turned round. None of a page of 8 bits and less.

        Raises:
            ImageError: it is larger than the limit, has a deep palette, or cannot be decoded.
        """
        import tifffile

        with tifffile.TiffFile(self.path) as file:
            found: Any = file.pages[page]
            require_pixels(self.path, found.imagewidth, found.imagelength)
            if found.is_tiled:
                require_pixels(self.path, found.tilewidth, found.tilelength)
            if found.samplesperpixel > MOST_SAMPLES:
                raise ImageError(f"{self.path} has {found.samplesperpixel} samples a pixel", "Save it as grey or RGB.")
            bits, photometric = found.bitspersample, int(found.photometric)
            if bits <= 8 and int(found.sampleformat) in (1, 4):  # unsigned, or not said
                return None
            if photometric == PALETTE:
                raise ImageError(f"{self.path} has a palette of more than 8 bits", "Save it as grey or RGB.")
            values, axes = np.asarray(found.asarray()), str(found.axes)
        if axes.startswith("S"):  # planes one after the other
            values = np.moveaxis(values, 0, -1)
        if values.ndim not in (2, 3):
            raise ImageError(f"{self.path} has a page of the shape {values.shape}", "Save it as grey or RGB.")
        if photometric == MIN_IS_WHITE:
            values = (2**bits - 1 - values).astype(values.dtype) if values.dtype.kind == "u" else -values.astype(float)
        return without_alpha(values)


def is_tiff(path: Path) -> bool:
    """Whether a file begins as TIFF does, whatever its name."""
    with path.open("rb") as file:
        return file.read(4) in MAGIC


def tiff_pages(path: Path) -> TiffPages:
    """The pages of a file; smaller copies of the picture for zooming, which follow it in some, are none.

    Raises:
        ImageError: there is none.
    """
    import tifffile

    with tifffile.TiffFile(path) as file:
        count = sum(1 for page in file.pages if not _is_smaller_copy(page))
    if count == 0:
        raise ImageError(f"{path} holds no page", "The file is corrupt.")
    return TiffPages(path, count)


def without_alpha(values: NDArray[Any]) -> NDArray[Any]:
    """H x W of one or two channels, H x W x 3 of three or more."""
    if values.ndim == 2:
        return values
    return values[..., 0] if values.shape[2] < 3 else values[..., :3]


def _is_smaller_copy(page: Any) -> bool:
    return bool(getattr(page, "is_reduced", False))
