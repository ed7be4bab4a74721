"""Window and level: which values are shown black and white. Of the screen alone; the network never sees it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2m_edge.imaging.intensity import LARGEST, levels
from s2m_edge.imaging.read import as_rgb

DOUBLE = 200.0
"""Pixels to the right that make a window twice as wide."""
SMALLEST = 1e-9
"""Of a width: one of nothing could not be made wider again."""
WHOLE = 400.0
"""Pixels upwards that move a window by its own width."""


@dataclass(frozen=True)
class Window:
    """Values from `low`, black, to `high`, white; the other way round where `inverse`."""

    low: float
    high: float
    inverse: bool = False

    @property
    def level(self) -> float:
        return (self.low + self.high) / 2

    @property
    def width(self) -> float:
        return self.high - self.low

    @property
    def text(self) -> str:
        """For people, in steps of a thousandth of the width or finer."""
        digits = max(0, 3 - math.ceil(math.log10(self.width)))
        return f"level {self.level:.{digits}f}, width {self.width:.{digits}f}"

    def moved(self, right: float, up: float) -> Window:
        """The window after the pointer was dragged by so many pixels: to the right wider, upwards a higher level."""
        width = float(np.clip(self.width * 2.0 ** (right / DOUBLE), SMALLEST, LARGEST))
        level = float(np.clip(self.level + self.width * up / WHOLE, -LARGEST, LARGEST))
        return Window(level - width / 2, level + width / 2, self.inverse)

    def picture(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Values rows x columns (x 3) as they are shown, RGB, rows x columns x 3, uint8."""
        shown = as_rgb(levels(values, self.low, self.high))
        return 255 - shown if self.inverse else shown


def window_of(values: NDArray[Any], image: NDArray[np.uint8]) -> Window:
    """The window that a picture looks as if it were made with, by the line through its values and levels.

    It is exact, but for rounding, where the file's window or the network's rule is linear, as nearly all are.

    Args:
        values: rows x columns (x 3), before any window.
        image: RGB, rows x columns x 3, made of them.
    """
    known = values.astype(np.float64).ravel()
    shown = (image if values.ndim == 3 else image[..., 0]).astype(np.float64).ravel()
    lowest, highest = float(known.min()), float(known.max())
    inverse = bool(known[shown.argmax()] < known[shown.argmin()])
    inside = (shown > 0) & (shown < 255)
    if inside.any():
        x, y = known[inside], shown[inside]
        x0, y0 = x.mean(), y.mean()
        spread = float(((x - x0) ** 2).sum())
        slope = float(((x - x0) * (y - y0)).sum()) / spread if spread > 0 else 0.0
        if slope != 0 and (slope < 0) == inverse:
            ends = sorted((float(x0 - y0 / slope), float(x0 + (255 - y0) / slope)))
            return Window(ends[0], ends[1], inverse)
    return Window(lowest, max(highest, lowest + 1.0), inverse)
