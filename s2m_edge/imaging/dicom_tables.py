"""Tables and single values of DICOM attributes, which a file may leave empty or damaged."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2m_edge.errors import ImageError
from s2m_edge.imaging.intensity import levels


@dataclass(frozen=True)
class Table:
    """A lookup table: its entries, the value that the first stands for, and the largest that its bits can hold."""

    entries: NDArray[Any]
    first: int
    largest: int

    def look_up(self, values: NDArray[Any]) -> NDArray[Any]:
        """Entries of values; below the first its entry, beyond the last the last's."""
        places = np.clip(np.rint(values).astype(np.int64) - self.first, 0, len(self.entries) - 1)
        return self.entries[places]

    def levels(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Entries of values, their whole range as 0..255."""
        return levels(self.look_up(values), 0, self.largest)


def first_table(sequence: Any) -> Table | None:
    """The first LUT of a sequence (PS3.3 C.11.1 and C.11.2); None where there is none, or one without entries."""
    for item in sequence or ():
        described, data = item.get("LUTDescriptor"), item.get("LUTData")
        if is_empty(described) or is_empty(data) or len(described) != 3:
            return None
        count, first, bits = (int(value) for value in described)
        count = count or 65536
        if isinstance(data, bytes):
            data = np.frombuffer(data, np.uint8 if len(data) < 2 * count else "<u2")
        entries = np.atleast_1d(np.asarray(data)).astype(np.uint16)[:count]
        return Table(entries, first, 2 ** min(max(bits, 8), 16) - 1) if len(entries) else None
    return None


def through_palette(stored: NDArray[Any], header: Any, path: Path) -> NDArray[np.uint8]:
    """Indices through the file's palette, H x W x 3.

    Raises:
        ImageError: it has none.
    """
    from pydicom.pixels import apply_color_lut

    if "RedPaletteColorLookupTableDescriptor" not in header:
        raise ImageError(f"{path} is PALETTE COLOR without a palette", "Save it as grey or RGB.")
    colours = apply_color_lut(stored, header)[..., :3]
    bits = int(header.RedPaletteColorLookupTableDescriptor[2])
    if colours.dtype == np.uint8:
        return colours
    return levels(colours, 0, 255 if bits <= 8 and int(colours.max()) <= 255 else 65535)


def is_empty(value: Any) -> bool:
    """Whether an attribute is missing, or there without a value."""
    return value is None or (hasattr(value, "__len__") and len(value) == 0)


def first_number(value: Any) -> float | None:
    """The first number of an attribute, None where it is empty or not finite."""
    if is_empty(value):
        return None
    first = value[0] if hasattr(value, "__getitem__") and not isinstance(value, str | bytes) else value
    try:
        number = float(first)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
