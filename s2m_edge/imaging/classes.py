"""The classes that a mask shows: their names and colours."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SegmentClass:
    """One foreground class: its name and its RGB colour, 0..255."""

    name: str
    colour: tuple[int, int, int]


PALETTE: tuple[tuple[int, int, int], ...] = (
    (0, 200, 120),
    (240, 160, 0),
    (60, 130, 255),
    (230, 70, 160),
    (160, 220, 40),
    (130, 90, 240),
    (0, 190, 220),
    (250, 110, 60),
    (150, 110, 70),
    (250, 220, 60),
    (120, 140, 160),
    (190, 60, 60),
)


def default_classes(classes: int, names: tuple[str, ...] = ()) -> tuple[SegmentClass, ...]:
    """Foreground classes of a network with `classes` output channels (one, or background and others)."""
    count = 1 if classes == 1 else classes - 1
    unnamed = ["foreground"] if count == 1 else [f"class {index}" for index in range(1, count + 1)]
    given = [*names, *unnamed[len(names) :]][:count]
    return tuple(SegmentClass(name, PALETTE[index % len(PALETTE)]) for index, name in enumerate(given))
