"""Values of DICOM attributes, which may be missing, empty, damaged, or of another type than the standard says."""

from __future__ import annotations

import math
from typing import Any

Vector = tuple[float, ...]


def numbers(place: Any, name: str, count: int) -> Vector | None:
    """An attribute's finite numbers; None where it is empty, damaged, or has another count of them."""
    try:
        value = place.get(name)
        if value is None or isinstance(value, str | bytes):
            return None if not value else (float(value),) if count == 1 else None
        found = tuple(float(part) for part in (value if hasattr(value, "__iter__") else (value,)))
    except Exception:  # pydicom's value types have errors of their own
        return None
    return found if len(found) == count and all(map(math.isfinite, found)) else None


def whole_number(place: Any, name: str) -> int | None:
    """An attribute as an integer; None where it is none."""
    found = numbers(place, name, 1)
    return None if found is None else int(found[0])


def text(place: Any, name: str) -> str:
    """An attribute as text; empty where there is none, or it cannot be read."""
    try:
        value = place.get(name)
    except Exception:  # an encoding that is not known
        return ""
    return "" if value is None else str(value).strip("\0 ")


def items(place: Any, name: str) -> list[Any]:
    """The items of a sequence; none where there is none, or a value of another type in its place."""
    try:
        return list(place.get(name) or ())
    except Exception:
        return []
