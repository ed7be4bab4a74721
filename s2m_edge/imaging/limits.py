"""How large pictures and networks' inputs may be: sizes are checked before they are believed; a small file cannot take
the memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from s2m_edge.errors import ConfigurationError, ImageError

MOST_PIXELS = 2**27
"""134 million: 11 585 x 11 585, whose RGB takes 400 MB. A slide scanner's picture is larger; a gigabyte of one colour
compressed to kilobytes is too."""
VOLUME_SLICES = 4
"""A volume may have as many voxels as this many of the largest slices."""

LARGEST_SIDE = 8192
"""Of a network's input, in pixels; a bound on what an app is asked to allocate, not a promise that it is fast."""
MOST_LABELS = 256
"""Of a mask, the background's among them: they are stored in 8 bits."""


@dataclass
class _Limit:
    pixels: int = MOST_PIXELS


_limit = _Limit()


def allow_pixels(count: int | None) -> int | None:
    """Set this process's limit, for all its readers; None leaves it. Returns `count`, as an option's callback does.

    Raises:
        ConfigurationError: fewer than one.
    """
    if count is not None:
        if count < 1:
            raise ConfigurationError(f"--max-pixels is {count}", "Give a count of pixels, for instance 500000000.")
        _limit.pixels = count
    return count


def most_pixels() -> int:
    """The limit, in pixels of one picture or slice."""
    return _limit.pixels


def require_pixels(path: Path | str, width: int, height: int) -> None:
    """Raise ImageError unless a picture of this size, which its header claims, is within the limit."""
    if width * height > _limit.pixels:
        raise ImageError(
            f"{path} is too large: {width} x {height} is {width * height} pixels, and the limit is {_limit.pixels}",
            f"Allow it with --max-pixels {width * height}.",
        )


def require_voxels(path: Path, shape: tuple[int, int, int]) -> None:
    """Raise ImageError unless a volume of this shape, and each of its slices, is within the limits."""
    count = shape[0] * shape[1] * shape[2]
    largest = count // max(1, min(shape))
    if largest > _limit.pixels or count > VOLUME_SLICES * _limit.pixels:
        needed = max(largest, -(-count // VOLUME_SLICES))
        raise ImageError(
            f"{path} is too large: its header claims {' x '.join(map(str, shape))} voxels",
            f"Allow it with --max-pixels {needed}.",
        )
