"""Pictures for people: a mask drawn over its image, always with the notice."""

from __future__ import annotations

import math
from collections.abc import Callable
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from s2m_edge.imaging.classes import SegmentClass
from s2m_edge.notice import NOTICE

if TYPE_CHECKING:
    from PIL import Image

FILL_OPACITY = 0.35
STRIP_COLOUR = (24, 24, 24)
MINIMUM_STRIP_WIDTH = 96
MARGIN = 4
SMALLEST_TEXT = 12.0
TEXT_SHARE = 1 / 40
"""Size of the text in the picture's longer side: fitted to a screen, a picture of any size has text of one size."""


def outline(mask: NDArray[np.bool_], thickness: int) -> NDArray[np.bool_]:
    """Pixels of `mask` within `thickness` pixels (4-neighbourhood) of its border; the image's edge is no border."""
    inner = mask
    for _ in range(thickness):
        padded = np.pad(inner, 1, mode="edge")
        inner = inner & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inner


def outline_thickness(height: int, width: int) -> int:
    """How wide an outline is in a picture of this size, in pixels."""
    return max(1, round(min(height, width) / 250))


def paint(image: NDArray[np.uint8], labels: NDArray[np.uint8], classes: tuple[SegmentClass, ...]) -> NDArray[np.uint8]:
    """The image, RGB H x W x 3, with each class of the labels H x W filled lightly and outlined."""
    drawn = image.astype(np.float32)
    thickness = outline_thickness(*labels.shape)
    for index, entry in enumerate(classes, start=1):
        region = labels == index
        colour = np.asarray(entry.colour, dtype=np.float32)
        drawn[region] = drawn[region] * (1 - FILL_OPACITY) + colour * FILL_OPACITY
        drawn[outline(region, thickness)] = colour
    return np.clip(drawn + 0.5, 0, 255).astype(np.uint8)


def draw_overlay(
    image: NDArray[np.uint8], labels: NDArray[np.uint8], classes: tuple[SegmentClass, ...], caption: str = ""
) -> Image.Image:
    """The image with each class filled lightly and outlined, and a strip below with the caption and the notice.

    Args:
        image: RGB, H x W x 3.
        labels: H x W, 0 for background, n for classes[n - 1].
        caption: one short line, for instance what ran.

    Returns:
        RGB, as wide as the image, but wide enough for every word of the strip, so that the notice can be read.
    """
    from PIL import Image, ImageDraw, ImageFont

    height, width = labels.shape
    picture = Image.fromarray(paint(image, labels, classes))
    size = max(SMALLEST_TEXT, max(height, width) * TEXT_SHARE)
    font = ImageFont.load_default(size=size)
    texts = [line for line in (caption, NOTICE) if line]
    longest = max(font.getlength(word) for line in texts for word in line.split())
    canvas_width = max(width, MINIMUM_STRIP_WIDTH, math.ceil(longest) + 2 * MARGIN)
    lines = [part for line in texts for part in _wrap(line, canvas_width - 2 * MARGIN, font.getlength)]
    step = round(size * 1.4)
    canvas = Image.new("RGB", (canvas_width, height + step * len(lines) + 6), STRIP_COLOUR)
    canvas.paste(picture, (0, 0))
    pen = ImageDraw.Draw(canvas)
    for row, line in enumerate(lines):
        pen.text((MARGIN, height + 2 + row * step), line, fill=(235, 235, 235), font=font)
    return canvas


def _wrap(line: str, width: float, length: Callable[[str], float]) -> list[str]:
    """`line` broken between words so that each part is at most `width` long, where words allow."""
    parts: list[str] = []
    for word in line.split():
        joined = f"{parts[-1]} {word}" if parts else word
        if parts and length(joined) <= width:
            parts[-1] = joined
        else:
            parts.append(word)
    return parts


def mask_picture(labels: NDArray[np.uint8], classes: int) -> Image.Image:
    """Labels as an 8-bit grey picture: 0 and 255 for one class, the label values themselves for more."""
    from PIL import Image

    return Image.fromarray(labels * 255 if classes == 1 else labels)


def png_bytes(picture: Image.Image) -> bytes:
    """A picture as PNG."""
    buffer = BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()
