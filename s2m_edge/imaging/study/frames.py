"""Where the frames of DICOM files lie: their attributes, from wherever a file holds them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from s2m_edge.imaging.dicom import count_frames

Vector = tuple[float, ...]

_PLANES = ("PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence")
GEOMETRY = (
    "Rows",
    "Columns",
    "NumberOfFrames",
    "ImageType",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "ImagerPixelSpacing",
    "SliceThickness",
    "SpacingBetweenSlices",
    "InstanceNumber",
    "FrameOfReferenceUID",
    "DetectorInformationSequence",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)
"""The attributes that `frames_of` looks at."""


@dataclass(frozen=True)
class Frame:
    """One slice of a study, as its file describes it.

    Attributes:
        path: of its file.
        index: of the frame in the file, from 0.
        uid: SOPInstanceUID of the file.
        number: InstanceNumber; None where there is none.
        rows, columns: in pixels.
        position: of the first pixel's centre, 3 numbers, mm; None where the file does not say.
        orientation: 6 numbers, along a row and along a column; None where it does not say.
        spacing: mm between rows and between columns; None where it does not say.
        spacing_from: which attribute that is from.
        thickness: mm.
        reference: UID of the frame of reference; positions in two of them cannot be compared.
    """

    path: Path
    index: int
    uid: str
    number: int | None
    rows: int
    columns: int
    position: Vector | None
    orientation: Vector | None
    spacing: tuple[float, float] | None
    spacing_from: str
    thickness: float | None
    reference: str


def frames_of(header: Any, path: Path) -> list[Frame]:
    """All frames of a data set in their stored order."""
    shared = _items(header, "SharedFunctionalGroupsSequence")
    own = _items(header, "PerFrameFunctionalGroupsSequence")
    count = count_frames(header)
    return [_frame(header, path, index, count, own, shared) for index in range(count)]


def _frame(header: Any, path: Path, index: int, count: int, own: list[Any], shared: list[Any]) -> Frame:
    groups = [*own[index : index + 1], *shared[:1]]
    places = [item for name in _PLANES for group in groups for item in _items(group, name)[:1]] + [header]
    position = _first(places, "ImagePositionPatient", 3) if count == 1 or groups else None
    orientation = _oriented(_first(places, "ImageOrientationPatient", 6))
    if position is None and not groups and count > 1:
        position, orientation = _of_detector(header, index, orientation)
    spacing, source = None, ""
    for name in ("PixelSpacing", "ImagerPixelSpacing"):
        found = _first(places, name, 2)
        if found is not None and min(found) > 0:
            spacing, source = (found[0], found[1]), name
            break
    thickness = _first(places, "SliceThickness", 1)
    return Frame(
        path,
        index,
        text(header, "SOPInstanceUID"),
        whole_number(header, "InstanceNumber"),
        whole_number(header, "Rows") or 0,
        whole_number(header, "Columns") or 0,
        position,
        orientation,
        spacing,
        source,
        thickness[0] if thickness is not None and thickness[0] > 0 else None,
        text(header, "FrameOfReferenceUID"),
    )


def _of_detector(header: Any, index: int, orientation: Vector | None) -> tuple[Vector | None, Vector | None]:
    """Of a reconstructed nuclear medicine volume (PS3.3 C.8.4.15): the first frame's place, and equal steps from it."""
    detectors = _items(header, "DetectorInformationSequence")
    step = numbers(header, "SpacingBetweenSlices", 1)
    if len(detectors) != 1 or step is None or "RECON" not in text(header, "ImageType").upper():
        return None, orientation
    first = numbers(detectors[0], "ImagePositionPatient", 3)
    found = _oriented(numbers(detectors[0], "ImageOrientationPatient", 6)) or orientation
    if first is None or found is None:
        return None, found
    (a, b, c), (d, e, f) = found[:3], found[3:]
    normal = (b * f - c * e, c * d - a * f, a * e - b * d)
    return tuple(place + index * step[0] * way for place, way in zip(first, normal, strict=True)), found


def _oriented(found: Vector | None) -> Vector | None:
    """An orientation as two unit vectors at right angles; None where it is none."""
    if found is None:
        return None
    lengths = [math.sqrt(sum(value * value for value in found[start : start + 3])) for start in (0, 3)]
    across = sum(a * b for a, b in zip(found[:3], found[3:], strict=True))
    if min(lengths) < 0.5 or abs(across) > 0.05 * lengths[0] * lengths[1]:
        return None
    return tuple(value / lengths[place // 3] for place, value in enumerate(found))


def _first(places: Iterable[Any], name: str, count: int) -> Vector | None:
    return next((found for place in places if (found := numbers(place, name, count)) is not None), None)


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


def _items(place: Any, name: str) -> list[Any]:
    try:
        return list(place.get(name) or ())
    except Exception:  # a value of another type in its place
        return []
