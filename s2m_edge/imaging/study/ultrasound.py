"""How large the pixels of an ultrasound picture are: by the one region in it that is measured in centimetres (PS3.3
C.8.5.5, US Region Calibration)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from s2m_edge.imaging.grid import Part
from s2m_edge.imaging.study.values import items, numbers, whole_number

REGIONS = "SequenceOfUltrasoundRegions"
_CENTIMETRES = 3
"""Of PhysicalUnitsXDirection and PhysicalUnitsYDirection."""
_TISSUE = 1
"""Of RegionSpatialFormat: a picture in two dimensions, no M-mode, spectrum, wave form or graphics."""


@dataclass(frozen=True)
class Calibration:
    """What the regions of a picture say.

    Attributes:
        spacing: mm between rows and between columns, within the part; None where that is not certain.
        part: of the picture.
        reason: why there is no spacing; empty where there is one, or no region.
    """

    spacing: tuple[float, float] | None = None
    part: Part | None = None
    reason: str = ""


def calibration(header: Any) -> Calibration:
    """The spacing of the one two-dimensional region in centimetres both ways. Of several, or of one that another region
    lies over, none: which of them a pixel belongs to would be a guess."""
    regions = items(header, REGIONS)
    if not regions:
        return Calibration()
    measured = [region for region in regions if _in_centimetres(region)]
    if len(measured) != 1:
        count = "none" if not measured else f"{len(measured)}"
        return Calibration(
            reason=f"{count} of its {len(regions)} ultrasound regions {'is' if len(measured) < 2 else 'are'} a picture "
            "in centimetres both ways, and the pixels' size is taken where one is"
        )
    region = measured[0]
    part = _part(region)
    steps = [numbers(region, name, 1) for name in ("PhysicalDeltaY", "PhysicalDeltaX")]
    if part is None or any(step is None or step[0] == 0 for step in steps):
        return Calibration(reason="its ultrasound region in centimetres has no place or no step that can be")
    others = [_part(other) for other in regions if other is not region]
    if any(other is None or _overlap(part, other) for other in others):
        return Calibration(reason="another ultrasound region lies over the one in centimetres, or says no place")
    down, along = (10.0 * abs(step[0]) for step in steps if step is not None)
    return Calibration((down, along), part)


def _in_centimetres(region: Any) -> bool:
    units = {whole_number(region, f"PhysicalUnits{way}Direction") for way in "XY"}
    return units == {_CENTIMETRES} and whole_number(region, "RegionSpatialFormat") == _TISSUE


def _part(region: Any) -> Part | None:
    """Where it lies: the file names its first and its last pixel."""
    names = ("RegionLocationMinY0", "RegionLocationMinX0", "RegionLocationMaxY1", "RegionLocationMaxX1")
    top, left, bottom, right = (whole_number(region, name) for name in names)
    if top is None or left is None or bottom is None or right is None or bottom <= top or right <= left:
        return None
    return Part(top, left, bottom + 1, right + 1)


def _overlap(one: Part, other: Part) -> bool:
    rows = max(one.top, other.top) < min(one.bottom, other.bottom)
    return rows and max(one.left, other.left) < min(one.right, other.right)
