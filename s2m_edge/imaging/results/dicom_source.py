"""What a DICOM segmentation may know of its source: an allow-list, copied into new data sets, and nothing besides.

highdicom copies all that the patient's and the study's modules have (weight, history, comments, clinical trials) and
the scanner's institution. It is given data sets that hold only what identifies the patient and the study, what says how
they were de-identified, and where the pixels lie.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from s2m_edge.errors import ImageError
from s2m_edge.imaging.dicom import count_frames

PATIENT = ("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex")
STUDY = ("StudyInstanceUID", "StudyID", "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName")
ANONYMITY = (
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
    "LongitudinalTemporalInformationModified",
)
INSTANCE = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "Rows", "Columns", "Modality")
PLACE = ("FrameOfReferenceUID", "PositionReferenceIndicator")
PLANE = ("ImageOrientationPatient", "ImagePositionPatient", "PixelSpacing", "SliceThickness")
COMPRESSION = ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")

ELSEWHERE = "Take --format nifti, csv or json, which need no DICOM header."

_NEEDED = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "Rows", "Columns")
_TYPE_2 = (*PATIENT[:2], *PATIENT[3:], *STUDY[1:])
_TIME = re.compile(r"([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?)?)?")


def minimal_sources(datasets: Sequence[Any], name: str) -> list[Any]:
    """New data sets with what a segmentation needs of each source, and no more.

    Args:
        datasets: headers, one of each slice, or one of a file with frames.
        name: of the study, for errors.

    Raises:
        ImageError: they have no identifiers, or do not lie in one series of one size.
    """
    found = [_minimal(dataset, name) for dataset in datasets]
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "Rows", "Columns"):
        if len({getattr(entry, keyword) for entry in found}) > 1:
            raise ImageError(f"the slices of {name} differ in {keyword}", "DICOM-SEG is of one series: give one.")
    if len({entry.SOPInstanceUID for entry in found}) != len(found):
        raise ImageError(f"slices of {name} share a SOPInstanceUID", f"Correct the files. {ELSEWHERE}")
    return found


def _minimal(source: Any, name: str) -> Any:
    from pydicom.dataset import Dataset

    missing = [keyword for keyword in _NEEDED if source.get(keyword) in (None, "")]
    if missing:
        raise ImageError(f"{name} has no {', '.join(missing)}, which a segmentation refers to", ELSEWHERE)
    made = Dataset()
    for keyword in (*PATIENT, *STUDY, *ANONYMITY, *INSTANCE, *COMPRESSION):
        value = source.get(keyword)
        if value not in (None, ""):
            setattr(made, keyword, _text(value) if keyword in _NAMES else value)
    for keyword in _TYPE_2:
        if keyword not in made:
            setattr(made, keyword, "")
    _leave_out_impossible(made)
    made.Modality = str(source.get("Modality") or "OT")
    for keyword in PLACE:
        if source.get(keyword) not in (None, ""):
            setattr(made, keyword, source.get(keyword))
    if _has_frames(made):
        _add_groups(made, source, name)
    else:
        _add_plane(made, source)
    return made


_NAMES = ("PatientName", "ReferringPhysicianName")


def _text(name: Any) -> str:
    """A name decoded as its file says; a new data set has an encoding of its own."""
    return str(name)


def _leave_out_impossible(made: Any) -> None:
    """Empty what is no date, time or sex: the standard lets these be empty, and not be wrong."""
    for keyword in ("PatientBirthDate", "StudyDate"):
        try:
            datetime.strptime(str(made.get(keyword) or ""), "%Y%m%d")
        except ValueError:
            setattr(made, keyword, "")
    if not _TIME.fullmatch(str(made.StudyTime)):
        made.StudyTime = ""
    if str(made.PatientSex) not in ("M", "F", "O"):
        made.PatientSex = ""


def _has_frames(made: Any) -> bool:
    """Whether its kind of object may have several frames, as highdicom asks."""
    from highdicom._standard_utils import is_multiframe_image

    try:
        return bool(is_multiframe_image(made))
    except KeyError:
        kind = getattr(made.SOPClassUID, "name", made.SOPClassUID)
        raise ImageError(f"DICOM-SEG cannot be of {kind}", ELSEWHERE) from None


def _add_plane(made: Any, source: Any) -> None:
    """Where a single frame lies, from the top of its header."""
    if "FrameOfReferenceUID" in made and all(source.get(keyword) for keyword in PLANE[:3]):
        for keyword in PLANE[:3]:
            setattr(made, keyword, source.get(keyword))
        made.SliceThickness = source.get("SliceThickness") or None
    elif source.get("PixelSpacing"):
        made.PixelSpacing = source.PixelSpacing


def _add_groups(made: Any, source: Any, name: str) -> None:
    """Where all frames lie, from their functional groups."""
    from pydicom.dataset import Dataset

    made.NumberOfFrames = count_frames(source)
    groups = list(source.get("PerFrameFunctionalGroupsSequence") or [])
    shared = (list(source.get("SharedFunctionalGroupsSequence") or []) or [Dataset()])[0]
    per_frame = [{**_plane(shared), **_plane(group)} for group in groups]
    common = Dataset()
    placed = len(per_frame) == made.NumberOfFrames and all(len(entry) >= len(PLANE) - 1 for entry in per_frame)
    if not ("FrameOfReferenceUID" in made and placed):
        measures = Dataset()  # highdicom asks for it; where it stays empty, it is left out again
        if source.get("PixelSpacing"):
            measures.PixelSpacing = source.PixelSpacing
        common.PixelMeasuresSequence = [measures]
        made.SharedFunctionalGroupsSequence = [common]
        return
    first = per_frame[0]
    for keyword in ("ImageOrientationPatient", "PixelSpacing"):
        if any(list(entry[keyword]) != list(first[keyword]) for entry in per_frame):
            raise ImageError(f"the frames of {name} differ in {keyword}", ELSEWHERE)
    orientation, measures = Dataset(), Dataset()
    orientation.ImageOrientationPatient = first["ImageOrientationPatient"]
    measures.PixelSpacing = first["PixelSpacing"]
    if first.get("SliceThickness"):
        measures.SliceThickness = first["SliceThickness"]
    common.PlaneOrientationSequence, common.PixelMeasuresSequence = [orientation], [measures]
    made.SharedFunctionalGroupsSequence = [common]
    items = []
    for entry in per_frame:
        position, item = Dataset(), Dataset()
        position.ImagePositionPatient = entry["ImagePositionPatient"]
        item.PlanePositionSequence = [position]
        items.append(item)
    made.PerFrameFunctionalGroupsSequence = items


def _plane(group: Any) -> dict[str, Any]:
    """What a functional group says of a plane, by keyword."""
    found: dict[str, Any] = {}
    for sequence in ("PlaneOrientationSequence", "PlanePositionSequence", "PixelMeasuresSequence"):
        for item in list(group.get(sequence) or [])[:1]:
            found |= {keyword: item.get(keyword) for keyword in PLANE if item.get(keyword)}
    return found
