"""A contact sheet: the images on which a network did worst, with what it should have said and what it said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from s2m_edge.imaging.classes import SegmentClass
from s2m_edge.imaging.overlay import STRIP_COLOUR, outline
from s2m_edge.notice import NOTICE
from s2m_edge.targets.measure.evaluation.evaluate import ShownImage

if TYPE_CHECKING:
    from PIL import Image
    from PIL.ImageFont import FreeTypeFont, ImageFont

TILE = 208
GAP = 6
MARGIN = 12
COLUMNS = 2
FONT_SIZE = 13
LINE = 20
LINE_THICKNESS = 2
TRUTH_COLOUR = (255, 255, 255)
TEXT_COLOUR = (235, 235, 235)
SWATCH = 10
PANELS = ("image", "truth", "prediction, truth in white")
EXPLANATION = f"Each: {'; '.join(PANELS)}."


def draw_worst(shown: Sequence[ShownImage], classes: tuple[SegmentClass, ...], title: str) -> Image.Image:
    """Two columns of cells, worst first; a cell is the image, the truth's outline, and both outlines.

    Args:
        shown: at least one, worst first.
        classes: the foreground classes, which give the outlines their colours.
        title: one line above.
    """
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(size=FONT_SIZE)
    cell_width = len(PANELS) * TILE + (len(PANELS) - 1) * GAP
    rows = [shown[start : start + COLUMNS] for start in range(0, len(shown), COLUMNS)]
    heights = [max(_tile_size(entry.image)[1] for entry in row) + LINE + 2 * GAP for row in rows]
    columns = min(COLUMNS, len(shown))
    width = 2 * MARGIN + columns * cell_width + (columns - 1) * 3 * GAP
    legend = _place_legend(font, classes, width)
    header, footer = legend[-1][1] + 2 * LINE, LINE + MARGIN
    sheet = Image.new("RGB", (width, header + sum(heights) + footer), STRIP_COLOUR)
    pen = ImageDraw.Draw(sheet)
    pen.text((MARGIN, MARGIN), _shorten(title, width - 2 * MARGIN, font), fill=TEXT_COLOUR, font=font)
    pen.text((MARGIN, MARGIN + LINE), EXPLANATION, fill=TEXT_COLOUR, font=font)
    for entry, (x, y) in zip(classes, legend, strict=True):
        pen.rectangle((x, y + 3, x + SWATCH, y + 3 + SWATCH), fill=entry.colour)
        pen.text((x + SWATCH + GAP, y), entry.name, fill=TEXT_COLOUR, font=font)
    top = header
    for row, height in zip(rows, heights, strict=True):
        for column, entry in enumerate(row):
            left = MARGIN + column * (cell_width + 3 * GAP)
            dice = f"  Dice {entry.result.figure('dice'):.3f}"
            room = cell_width - font.getlength(dice)
            pen.text((left, top), _shorten(entry.result.name, room, font) + dice, fill=TEXT_COLOUR, font=font)
            for panel, pixels in enumerate(_panels(entry, classes)):
                sheet.paste(Image.fromarray(pixels), (left + panel * (TILE + GAP), top + LINE))
        top += height
    pen.text((MARGIN, top), NOTICE, fill=TEXT_COLOUR, font=font)
    return sheet


def _panels(entry: ShownImage, classes: tuple[SegmentClass, ...]) -> tuple[NDArray[np.uint8], ...]:
    """The cell's pictures, each at most TILE wide and high."""
    from PIL import Image

    size = _tile_size(entry.image)
    image = np.asarray(Image.fromarray(entry.image).resize(size))
    # Outlined after shrinking, so that the lines of a large picture stay visible.
    truth, prediction = (
        np.asarray(Image.fromarray(labels).resize(size, Image.Resampling.NEAREST))
        for labels in (entry.truth, entry.prediction)
    )
    expected, found = image.copy(), image.copy()
    for index, _ in enumerate(classes, start=1):
        found[outline(truth == index, 1)] = TRUTH_COLOUR
    for index, entry_class in enumerate(classes, start=1):
        expected[outline(truth == index, LINE_THICKNESS)] = entry_class.colour
        found[outline(prediction == index, LINE_THICKNESS)] = entry_class.colour
    return image, expected, found


def _tile_size(image: NDArray[np.uint8]) -> tuple[int, int]:
    """Width and height of an image H x W x 3 drawn as large as a tile holds."""
    height, width = image.shape[:2]
    scale = TILE / max(height, width)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _place_legend(
    font: FreeTypeFont | ImageFont, classes: tuple[SegmentClass, ...], width: int
) -> list[tuple[float, int]]:
    """Left and top of every class's entry: after the explanation, and on further lines where one is full."""
    places: list[tuple[float, int]] = []
    x, y = MARGIN + font.getlength(EXPLANATION) + 3 * GAP, MARGIN + LINE
    for entry in classes:
        length = SWATCH + GAP + font.getlength(entry.name)
        if x + length > width - MARGIN:
            x, y = float(MARGIN), y + LINE
        places.append((x, y))
        x += length + 3 * GAP
    return places


def _shorten(text: str, room: float, font: FreeTypeFont | ImageFont) -> str:
    """`text`, its middle replaced by three dots where it is wider than `room`."""
    if font.getlength(text) <= room:
        return text
    keep = len(text)
    while keep > 2 and font.getlength(_cut(text, keep)) > room:
        keep -= 1
    return _cut(text, keep)


def _cut(text: str, keep: int) -> str:
    return f"{text[: keep - keep // 2]}...{text[len(text) - keep // 2 :]}"
