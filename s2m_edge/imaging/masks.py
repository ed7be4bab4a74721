"""Mask files, other than NIfTI, as the values that they hold: labels, or 0 and 255.

A mask that shows two tones is read by what it shows, however its file numbers them (palettes, min-is-white TIFF,
DICOM's MONOCHROME1); a palette of colours holds its colours' numbers, the labels. What would have to be guessed is
refused: channels that differ, unless `colours` says what they stand for, and deep values that are no labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2m_edge.errors import ImageError
from s2m_edge.imaging.folders import looks_like_dicom
from s2m_edge.imaging.limits import require_pixels
from s2m_edge.imaging.picture import count_pages, decoded_upright, first_shown, open_picture
from s2m_edge.imaging.picture import orientation as turn_of
from s2m_edge.imaging.tones import (
    is_one_colour,
    label_colours,
    one_channel,
    palette_values,
    require_hidden_background,
    whole_values,
)
from s2m_edge.silence import without_warnings

Colours = Sequence[tuple[int, int]]
"""Pairs of a colour, 0xRRGGBB, and its label."""
LOSSY = ("JPEG", "MPO", "WEBP")
_PHOTOMETRIC, _MIN_IS_WHITE = 262, 0


def read_mask(path: Path, frame: int | None = None, colours: Colours = ()) -> NDArray[np.uint8]:
    """The values of a mask, H x W, uint8, upright (EXIF orientation applied).

    Args:
        path: a picture or a DICOM file, a segmentation object too.
        frame: of a file with several; by default an animation's first, else the middle one.
        colours: what the colours that the file shows stand for; the label of each pixel is then its value. Black is
            background unless it is named.

    Raises:
        ImageError: missing, corrupt, too large, or what it holds are no labels.
    """
    path = Path(path)
    if not path.is_file():
        raise ImageError(f"there is no mask {path}", "Check the path.")
    try:
        with without_warnings(Warning):
            if looks_like_dicom(path):
                from s2m_edge.imaging.dicom_masks import read_dicom_mask

                return read_dicom_mask(path, frame, colours)
            with open_picture(path) as picture:
                return _picture_values(picture, path, frame, colours)
    except ImageError:
        raise
    except MemoryError:
        raise ImageError(f"{path} does not fit in memory", "Use a smaller mask.") from None
    except Exception as error:  # every decoder has its own exceptions; all mean the same to the user
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ImageError(f"{path} cannot be read as a mask ({reason})", "Save it as an 8-bit PNG.") from None


def orientation(path: Path) -> tuple[int, tuple[int, int]]:
    """The EXIF orientation of a picture, 1 to 8, and the height and width that are stored, from its header alone.

    Raises:
        ImageError: it cannot be read, or is larger than the limit.
    """
    try:
        with without_warnings(Warning), open_picture(path) as picture:
            found = 1
            if picture.format != "PNG" or _says_orientation(path):  # of a PNG, Pillow decodes it all to find out
                found = turn_of(picture)
            stored = picture.height, picture.width
            if picture.format == "TIFF" and found >= 5:  # whose size Pillow gives upright
                stored = stored[::-1]
            return found, stored
    except ImageError:
        raise
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ImageError(f"{path} cannot be read ({reason})", "The file is corrupt or of another kind.") from None


def _says_orientation(png: Path) -> bool:
    """Whether a PNG has a chunk that can hold EXIF or XMP."""
    with png.open("rb") as file:
        file.seek(8)
        while len(head := file.read(8)) == 8:
            if head[4:] in (b"eXIf", b"tEXt", b"zTXt", b"iTXt"):
                return True
            file.seek(int.from_bytes(head[:4], "big") + 4, 1)
    return False


def _picture_values(picture: Any, path: Path, frame: int | None, colours: Colours) -> NDArray[np.uint8]:
    count = count_pages(picture)
    chosen = first_shown(picture, count) if frame is None else frame
    if not 0 <= chosen < count:
        raise ImageError(f"{path} has no slice {chosen}", f"Its slices are 0 to {count - 1}.")
    if count > 1:
        picture.seek(chosen)
        require_pixels(path, *picture.size)
    if _has_deep_colours(picture):
        raise ImageError(f"{path} has colours of 16 bits a channel", "Save it as grey, or with 8 bits a channel.")
    tags = getattr(picture, "tag_v2", {})
    white_is_0 = picture.mode.startswith("I;16") and tags.get(_PHOTOMETRIC) == _MIN_IS_WHITE
    lossy = picture.format in LOSSY
    picture = decoded_upright(picture)  # whose loading takes the transparency of some palettes into `info`
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        values = np.asarray(picture)
        return whole_values(65535 - values.astype(np.int64) if white_is_0 else values, path)
    alpha: NDArray[np.uint8] | None = None
    if picture.has_transparency_data:
        rgba = np.asarray(picture.convert("RGBA"))
        shown, alpha = rgba[..., :3], rgba[..., 3]
    elif picture.mode in ("1", "L") and not colours:
        return np.asarray(picture.convert("L"))  # Pillow has turned min-is-white round
    else:
        shown = np.asarray(picture.convert("RGB"))
    if colours:
        return label_colours(shown, colours, path, lossy, alpha)
    if alpha is not None and alpha.min() != alpha.max() and is_one_colour(shown):
        return alpha
    if picture.mode == "P":
        table = np.zeros((256, 3), np.uint8)
        entries = np.asarray(picture.getpalette("RGB") or [], np.uint8).reshape(-1, 3)[:256]
        table[: len(entries)] = entries
        values = palette_values(np.asarray(picture), table)
    else:
        values = one_channel(shown, path, lossy)
    if alpha is not None:
        require_hidden_background(values, alpha, path)
    return values


def _has_deep_colours(picture: Any) -> bool:
    """Whether a file has colours of more than 8 bits, of which Pillow keeps the high byte: its labels would be gone."""
    if picture.mode not in ("RGB", "RGBA", "LA", "RGBX"):
        return False
    if picture.format == "PPM":
        return any(isinstance(value, int) and value > 255 for tile in picture.tile for value in tile.args)
    raw = [tile.args if isinstance(tile.args, str) else (tile.args or ("",))[0] for tile in picture.tile]
    bits = getattr(picture, "tag_v2", {}).get(258, (8,))
    return any(";16" in str(mode) for mode in raw) or max(bits if isinstance(bits, tuple) else (bits,)) > 8
