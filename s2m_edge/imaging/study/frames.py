"""Where the frames of DICOM files lie: their attributes, from wherever a file holds them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from s2m_edge.imaging.dicom import count_frames
from s2m_edge.imaging.grid import Part
from s2m_edge.imaging.study.ultrasound import REGIONS, Calibration, calibration
from s2m_edge.imaging.study.values import Vector, items, numbers, text, whole_number

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
    REGIONS,
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
        part: of the picture that the spacing is of; None: all of it.
        unmeasured: why there is no spacing, where the file says something of it.
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
    part: Part | None = None
    unmeasured: str = ""


def frames_of(header: Any, path: Path) -> list[Frame]:
    """All frames of a data set in their stored order."""
    shared = items(header, "SharedFunctionalGroupsSequence")
    own = items(header, "PerFrameFunctionalGroupsSequence")
    count = count_frames(header)
    return [_frame(header, path, index, count, own, shared) for index in range(count)]


def _frame(header: Any, path: Path, index: int, count: int, own: list[Any], shared: list[Any]) -> Frame:
    groups = [*own[index : index + 1], *shared[:1]]
    places = [item for name in _PLANES for group in groups for item in items(group, name)[:1]] + [header]
    position = _first(places, "ImagePositionPatient", 3) if count == 1 or groups else None
    orientation = _oriented(_first(places, "ImageOrientationPatient", 6))
    if position is None and not groups and count > 1:
        position, orientation = _of_detector(header, index, orientation)
    spacing, source = None, ""
    for name in ("PixelSpacing", "ImagerPixelSpacing"):
        pair = _first(places, name, 2)
        if pair is not None and min(pair) > 0:
            spacing, source = (pair[0], pair[1]), name
            break
    found = calibration(header) if spacing is None else Calibration()
    if found.spacing is not None:
        spacing, source = found.spacing, REGIONS
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
        found.part,
        found.reason,
    )


def _of_detector(header: Any, index: int, orientation: Vector | None) -> tuple[Vector | None, Vector | None]:
    """Of a reconstructed nuclear medicine volume (PS3.3 C.8.4.15): the first frame's place, and equal steps from it."""
    detectors = items(header, "DetectorInformationSequence")
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
