"""Segmentations of several pictures that lie nowhere: endoscopy, an ultrasound clip, photographs of a study.

The standard has them: a frame refers to the picture that it was derived from (PS3.3 C.7.6.16.2.6), and where it does,
no place and no frame of reference is asked for (A.51.5). highdicom makes them of one picture alone. Several are lent
places one behind another, which decide the order of the frames and nothing else, and are taken out of what was made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_ACROSS = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
_POSITION, _IN_STACK, _CONTENT = 0x00200032, 0x00209057, 0x00209111


def lies_nowhere(source: Any) -> bool:
    """Whether a header says nothing at all of where its pictures lie; one that says half of it is damaged."""
    names = ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence")
    groups = [group for name in names for group in source.get(name) or ()]
    return not source.get("ImagePositionPatient") and not any(group.get("PlanePositionSequence") for group in groups)


def lend_places(sources: Sequence[Any]) -> None:
    """Places for data sets of the caller's own, which have none: one millimetre below another, for highdicom writes
    frames from the head to the feet."""
    from highdicom import UID
    from pydicom.dataset import Dataset

    reference = UID()
    orientation = _item(ImageOrientationPatient=list(_ACROSS))
    measures = _item(PixelSpacing=[1.0, 1.0], SliceThickness=1.0)
    for number, source in enumerate(sources):
        source.FrameOfReferenceUID, source.PositionReferenceIndicator = reference, ""
        if "NumberOfFrames" not in source:
            source.ImageOrientationPatient, source.ImagePositionPatient = list(_ACROSS), [0.0, 0.0, -float(number)]
            source.PixelSpacing, source.SliceThickness = [1.0, 1.0], 1.0
            continue
        source.SharedFunctionalGroupsSequence = [
            _item(PlaneOrientationSequence=[orientation], PixelMeasuresSequence=[measures])
        ]
        source.PerFrameFunctionalGroupsSequence = [Dataset() for _ in range(source.NumberOfFrames)]
        for at, group in enumerate(source.PerFrameFunctionalGroupsSequence):
            group.PlanePositionSequence = [_item(ImagePositionPatient=[0.0, 0.0, -float(at)])]


def take_places(made: Any) -> None:
    """Leave no place and no spacing in a segmentation that was made of lent ones. Its frames are counted by the
    picture, whose own header says how large pixels are."""
    for name in ("FrameOfReferenceUID", "PositionReferenceIndicator"):
        if name in made:
            delattr(made, name)
    shared = made.SharedFunctionalGroupsSequence[0]
    for name in ("PlaneOrientationSequence", "PixelMeasuresSequence"):
        if name in shared:
            delattr(shared, name)
    for group in made.PerFrameFunctionalGroupsSequence:
        content = group.FrameContentSequence[0]
        number = 1 - round(float(group.PlanePositionSequence[0].ImagePositionPatient[2]))
        content.StackID, content.InStackPositionNumber = "1", number
        content.DimensionIndexValues = [*_as_list(content.DimensionIndexValues)[:-1], number]
        for name in ("PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence"):
            if name in group:
                delattr(group, name)
    for entry in made.DimensionIndexSequence:
        if entry.DimensionIndexPointer == _POSITION:
            entry.DimensionIndexPointer, entry.FunctionalGroupPointer = _IN_STACK, _CONTENT
            entry.DimensionDescriptionLabel = "In-Stack Position Number"


def _as_list(value: Any) -> list[int]:
    return list(value) if hasattr(value, "__iter__") else [value]


def _item(**values: Any) -> Any:
    from pydicom.dataset import Dataset

    made = Dataset()
    for name, value in values.items():
        setattr(made, name, value)
    return made
