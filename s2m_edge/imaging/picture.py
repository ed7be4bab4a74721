"""PNG, JPEG, TIFF and the like, upright: Pillow decodes what has 8 bits, imagecodecs and tifffile what has more.

Alpha is dropped, colour profiles are not applied: the stored levels are what networks are trained on.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2m_edge.errors import ImageError
from s2m_edge.imaging.intensity import Intensity, spread
from s2m_edge.imaging.limits import require_pixels
from s2m_edge.imaging.tiff import is_tiff, tiff_pages, without_alpha

ORIENTATION = 0x0112
ANIMATED = ("GIF", "WEBP", "PNG", "APNG", "MPO", "AVIF")
"""Formats whose first frame is the picture; the pages of others (TIFF) are slices."""

_OPENING = threading.Lock()  # Pillow's limit is one for all threads


def read_picture(path: Path, frame: int | None, intensity: Intensity) -> NDArray[np.uint8]:
    """H x W grey or H x W x 3, uint8, upright.

    Args:
        frame: of an animation or of a file with pages; by default an animation's first and the middle page.
        intensity: how more than 8 bits become 8.

    Raises:
        ImageError: there is no such frame, or the picture is larger than the limit.
    """
    if is_tiff(path):
        pages = tiff_pages(path)
        page = pages.chosen(frame)
        deep = pages.deep(page)
        if deep is not None:
            return upright(spread(deep, intensity), pages.orientation(page))
        frame = page
    with open_picture(path) as picture:
        count = count_pages(picture)
        chosen = first_shown(picture, count) if frame is None else frame
        if not 0 <= chosen < count:
            raise ImageError(f"{path} has no slice {chosen}", f"Choose one of 0..{count - 1} with --slice.")
        if picture.format == "PNG":
            with open_picture(path) as probe:
                probe.verify()  # the check sums, which decoding alone does not look at
            deep = _deep_png(path)
        elif picture.format == "PPM":
            deep = _deep_pnm(path, picture.size)
        else:
            deep = None
        if deep is not None:
            return upright(spread(deep, intensity), orientation(picture))
        if count > 1:
            picture.seek(chosen)
        return eight_bits(decoded_upright(picture), intensity)


@contextmanager
def open_picture(path: Path) -> Iterator[Any]:
    """A file opened by Pillow, its size within the limit; its pixels are not decoded yet.

    Pillow's own limit is off while it opens: ours has the figures and a remedy.
    """
    from PIL import Image

    with _OPENING:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            picture = Image.open(path)
        finally:
            Image.MAX_IMAGE_PIXELS = before
    with picture:
        require_pixels(path, *picture.size)
        if picture.format == "BMP":
            _mend_bitmap(path, picture)
        yield picture


def _mend_bitmap(path: Path, picture: Any) -> None:
    """Of a BMP whose palette is black and white alone, or 16 greys, Pillow drops the palette and takes its 4 or 8 bits
    a pixel for 1 or 8: the picture comes out wrong, and mostly black. Here it is given a palette again."""
    from PIL import ImagePalette

    with path.open("rb") as file:
        bits = int.from_bytes(file.read(30)[28:], "little")
    if picture.mode not in ("1", "L") or bits == (1 if picture.mode == "1" else 8):
        return
    greys = (0, 255) if picture.mode == "1" else range(16)
    picture.palette = ImagePalette.raw("RGB", bytes(grey for grey in greys for _ in range(3)))
    raw = "P" if bits == 8 else f"P;{bits}"
    picture.tile = [tile._replace(args=(raw, *tile.args[1:])) for tile in picture.tile]
    picture._mode = "P"


def decoded_upright(picture: Any) -> Any:
    """An opened picture, decoded by Pillow and turned as its orientation asks.

    Of TIFF, Pillow turns by itself, but decodes rows of the upright width, which lie there in the stored one.
    """
    from PIL import ImageOps

    if picture.format == "TIFF" and picture.tag_v2.get(ORIENTATION, 1) in (5, 6, 7, 8):
        picture._size = picture.size[::-1]
    return ImageOps.exif_transpose(picture)


def count_pages(picture: Any) -> int:
    """Frames of an animation, or pages of an opened picture."""
    return max(1, int(getattr(picture, "n_frames", 1) or 1))


def first_shown(picture: Any, count: int) -> int:
    """The frame that is taken where none is named."""
    return 0 if picture.format in ANIMATED else count // 2


def orientation(picture: Any) -> int:
    """The EXIF orientation of an opened picture, 1 to 8; 1 where it names none that there is."""
    try:
        found = int(picture.getexif().get(ORIENTATION, 1))
    except (TypeError, ValueError, SyntaxError, OSError):
        return 1
    return found if 1 <= found <= 8 else 1


def upright(pixels: NDArray[Any], turn: int) -> NDArray[Any]:
    """H x W (x C) as stored, turned and mirrored as an EXIF orientation asks."""
    if turn in (5, 6, 7, 8):
        pixels = np.swapaxes(pixels, 0, 1)
    if turn in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if turn in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def eight_bits(picture: Any, intensity: Intensity) -> NDArray[np.uint8]:
    """What Pillow decoded, grey or RGB; its few deeper modes by the rule."""
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        return spread(np.asarray(picture), intensity)
    if picture.mode in ("L", "RGB"):
        return np.asarray(picture)
    return np.asarray(picture.convert("L" if picture.mode in ("1", "LA", "La") else "RGB"))


def _deep_png(path: Path) -> NDArray[np.uint16] | None:
    """The values of a PNG of 16 bits, H x W or H x W x 3; None of another. (Pillow keeps the high byte of colours.)"""
    with path.open("rb") as file:
        head = file.read(26)
    if len(head) < 26 or head[12:16] != b"IHDR" or head[24] != 16:
        return None
    import imagecodecs

    return without_alpha(imagecodecs.png_decode(path.read_bytes()))


def _deep_pnm(path: Path, size: tuple[int, int]) -> NDArray[np.uint16] | None:
    """The values of a binary PGM or PPM with more than 255 levels; None of another."""
    with path.open("rb") as file:
        head = file.read(4096)
        words, at = [], 2
        while len(words) < 3 and at < len(head):
            if head[at : at + 1] == b"#":
                at = head.find(b"\n", at) if b"\n" in head[at:] else len(head)
            elif head[at : at + 1].isspace():
                at += 1
            else:
                end = at
                while end < len(head) and not head[end : end + 1].isspace():
                    end += 1
                words.append(head[at:end])
                at = end
        if head[:2] not in (b"P5", b"P6") or len(words) < 3 or not words[2].isdigit() or int(words[2]) <= 255:
            return None
        channels = 3 if head[:2] == b"P6" else 1
        file.seek(at + 1)
        data = file.read(size[0] * size[1] * channels * 2)
    if len(data) < size[0] * size[1] * channels * 2:
        raise ImageError(f"{path} is cut off", "Copy the image again.")
    values = np.frombuffer(data, ">u2").astype(np.uint16)
    return values.reshape((size[1], size[0], 3) if channels == 3 else (size[1], size[0]))
