"""Labels as a DICOM segmentation (PS3.3 A.51), by highdicom: a segment of each class."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from s2m_edge import __version__
from s2m_edge.errors import ConfigurationError, ImageError, MissingBackendError, in_one_line
from s2m_edge.imaging.classes import SegmentClass
from s2m_edge.imaging.results.algorithm import Algorithm
from s2m_edge.imaging.results.codes import ClassCode, Code, Codes, require_codes
from s2m_edge.imaging.results.dicom_nowhere import lend_places, lies_nowhere, take_places
from s2m_edge.imaging.results.dicom_source import ELSEWHERE, minimal_sources
from s2m_edge.imaging.written import SOFTWARE
from s2m_edge.installation import install_command
from s2m_edge.notice import NOTICE
from s2m_edge.silence import without_warnings
from s2m_edge.texts import printable

SegType = Literal["binary", "fractional", "labelmap"]
"""How pixels are stored: a bit of each class; the class's probability, in 255 steps; or the number of the class."""
SEG_TYPES: tuple[SegType, ...] = get_args(SegType)
FRACTION = 255
"""What a probability of 1 is stored as."""

LONGEST_TEXT = 64
"""Characters of a Long String."""

_SERIES = 1000
"""Added to the source's series number, so that the segmentation stands behind its series in a list."""


class LabelsError(ValueError):
    """Labels that are not those of the study: a mistake of the caller's."""


def require_highdicom() -> None:
    """Raise MissingBackendError unless the package that writes segmentations is there."""
    try:
        import highdicom  # noqa: F401
    except ImportError:
        raise MissingBackendError(
            "DICOM-SEG needs the package highdicom", f"Install it: {install_command('dicom')}"
        ) from None


def find_seg_type(name: str) -> SegType:
    """A kind of segmentation by its name.

    Raises:
        ConfigurationError: there is none of that name.
    """
    for kind in SEG_TYPES:
        if kind == name.strip().lower():
            return kind
    raise ConfigurationError(f"there is no --seg-type {name!r}", f"Choose {', '.join(SEG_TYPES)}.")


def dicom_seg_bytes(
    labels: NDArray[np.uint8],
    datasets: Sequence[Any],
    classes: Sequence[SegmentClass],
    codes: Codes,
    algorithm: Algorithm,
    name: str = "the study",
    slices: Sequence[int] = (),
    seg_type: SegType = "binary",
    fractions: NDArray[np.uint8] | None = None,
) -> bytes:
    """A DICOM segmentation file.

    Frames that show nothing of a class are left out, as the standard allows; where no slice shows anything, all frames
    of all classes are there, and empty.

    Args:
        labels: slices x rows x columns, 0 background, k of `classes[k - 1]`; in the order of `datasets`, or of the
            frames of the only one.
        datasets: headers of the source (pydicom).
        codes: of each class.
        name: of the study, for errors.
        slices: the numbers of those that were looked at, which the file is to say.
        seg_type: how pixels are stored.
        fractions: for "fractional", classes x slices x rows x columns, the probability of each class times `FRACTION`,
            in the order of the labels, which are not looked at then.

    Raises:
        ConfigurationError: a class has no code.
        ImageError: the standard has no segmentation of such a source, or its header is damaged.
        MissingBackendError: highdicom is not installed.
    """
    require_codes(classes, codes)
    require_highdicom()
    if labels.size and int(labels.max()) > len(classes):
        raise LabelsError(f"labels go to {int(labels.max())}, and there are {len(classes)} classes")
    if not len(datasets):
        raise ImageError(f"{name} is no DICOM, and a DICOM-SEG refers to DICOM instances", ELSEWHERE)
    try:
        with without_warnings(UserWarning):  # of values that the source has and the standard does not allow
            sources = minimal_sources(datasets, name)
            nowhere = _require_fitting(labels, sources, datasets, name)
            if nowhere:
                lend_places(sources)
            identified = _algorithm_identification(algorithm, slices)
            pixels = _stored(labels, fractions, len(classes), seg_type)
            made = _segmentation(pixels, seg_type, sources, classes, codes, algorithm, identified, datasets[0])
            if nowhere:
                take_places(made)
            _finish(made, datasets[0])
            made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = _own_uid(made)
            buffer = BytesIO()
            made.save_as(buffer, enforce_file_format=True)
    except (ImageError, LabelsError, MemoryError):
        raise
    except Exception as error:  # highdicom's and pydicom's checks raise whatever they raise, each about the header
        raise ImageError(f"no DICOM-SEG can be made of {name} ({in_one_line(error)})", ELSEWHERE) from error
    return buffer.getvalue()


def is_segmentation_of(path: Path, instances: set[str], slices: Sequence[int] = ()) -> bool:
    """Whether a file is a segmentation that this toolkit made of these slices of these instances, and nobody changed
    since."""
    import pydicom

    try:
        found = pydicom.dcmread(path)
        referred = {str(item.ReferencedSOPInstanceUID) for item in found.SourceImageSequence}
        same = referred == instances and (not slices or _parameters(found).endswith(f"slices={_slices(slices)}"))
        return found.Manufacturer == SOFTWARE and same and found.SOPInstanceUID == _own_uid(found)
    except Exception:  # whatever cannot be read is not ours
        return False


def _require_fitting(labels: NDArray[np.uint8], sources: Sequence[Any], datasets: Sequence[Any], name: str) -> bool:
    """Whether they are several pictures that lie nowhere, and are to be referred to one by one.

    Raises:
        ImageError: they say half of where they lie.
    """
    first = sources[0]
    frames = int(first.get("NumberOfFrames", 1)) if len(sources) == 1 else len(sources)
    if labels.shape != (frames, first.Rows, first.Columns):
        raise LabelsError(f"labels are {labels.shape}, and {name} has {frames} x {first.Rows} x {first.Columns} pixels")
    placed = "ImagePositionPatient" in first or "PerFrameFunctionalGroupsSequence" in first
    if frames == 1 or placed:
        return False
    if not all(map(lies_nowhere, datasets)):
        raise ImageError(
            f"{name} says in part where its {frames} slices lie (of frame of reference, position, orientation and "
            "pixel spacing some are missing), and a DICOM-SEG says all of it or nothing",
            ELSEWHERE,
        )
    return True


def _stored(labels: NDArray[np.uint8], fractions: NDArray[np.uint8] | None, classes: int, seg_type: SegType) -> Any:
    """The pixels as highdicom takes them."""
    if seg_type != "fractional":
        return labels
    if fractions is None or fractions.shape != (classes, *labels.shape):
        raise LabelsError(f"a fractional segmentation of {classes} classes needs the probabilities of each")
    return np.moveaxis(fractions, 0, -1).astype(np.float32) / FRACTION


def _segmentation(
    pixels: Any,
    seg_type: SegType,
    sources: list[Any],
    classes: Sequence[SegmentClass],
    codes: Codes,
    algorithm: Algorithm,
    identified: Any,
    header: Any,
) -> Any:
    import highdicom
    from highdicom.seg import Segmentation

    return Segmentation(
        source_images=sources,
        pixel_array=pixels,
        segmentation_type=seg_type.upper(),
        max_fractional_value=FRACTION,
        segment_descriptions=[
            _description(number, entry, codes[entry.name], identified) for number, entry in enumerate(classes, 1)
        ],
        series_instance_uid=highdicom.UID(),
        series_number=_series_number(header),
        sop_instance_uid=highdicom.UID(),  # its own follows from its content
        instance_number=1,
        manufacturer=SOFTWARE,
        manufacturer_model_name=SOFTWARE,
        software_versions=__version__,
        device_serial_number=algorithm.weights_sha256 or "0",
        content_label="SEGMENTATION",
        content_description=NOTICE,
        series_description=_long(f"{SOFTWARE}: {NOTICE}"),
        content_qualification="RESEARCH",
        specific_character_set="ISO_IR 192",
        omit_empty_frames=bool(np.any(pixels)),
    )


def _finish(made: Any, header: Any) -> None:
    """What the standard asks for, and highdicom leaves to its callers."""
    made.SpecificCharacterSet = "ISO_IR 192"
    if "FrameOfReferenceUID" not in made or "PlaneOrientationSequence" not in made.SharedFunctionalGroupsSequence[0]:
        made.PatientOrientation = header.get("PatientOrientation") or ""  # which may be empty, and not be left out
    for group in made.SharedFunctionalGroupsSequence:
        measures = group.get("PixelMeasuresSequence")
        if "FrameOfReferenceUID" not in made and measures and measures[0].get("SliceThickness") is None:
            del group.PixelMeasuresSequence  # which highdicom writes without a thickness, and then does not read


def _description(number: int, entry: SegmentClass, code: ClassCode, identified: Any) -> Any:
    from highdicom.color import CIELabColor
    from highdicom.seg import SegmentDescription
    from highdicom.sr import CodedConcept

    def concept(given: Code) -> Any:
        return CodedConcept(given.value, given.scheme, given.meaning)

    region = None if code.region is None else concept(code.region)
    made: Any = SegmentDescription(
        segment_number=number,
        segment_label=_long(printable(entry.name)) or f"class {number}",
        segmented_property_category=concept(code.category),
        segmented_property_type=concept(code.type),
        algorithm_type="AUTOMATIC",
        algorithm_identification=identified,
        tracking_uid=None,
        anatomic_regions=None if region is None else [region],
        display_color=CIELabColor.from_rgb(*(code.colour or entry.colour)),
    )
    if code.modifier is not None:
        made.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [concept(code.modifier)]
    if code.laterality is not None and region is not None:
        made.AnatomicRegionSequence[0].AnatomicRegionModifierSequence = [concept(code.laterality)]
    return made


def _algorithm_identification(algorithm: Algorithm, slices: Sequence[int]) -> Any:
    from highdicom import AlgorithmIdentificationSequence
    from pydicom.sr.codedict import codes as dictionary

    told = {
        "weights_sha256": algorithm.weights_sha256,
        "precision": algorithm.precision,
        "target": algorithm.target,
        "threshold": "" if algorithm.threshold is None else f"{algorithm.threshold:g}",
        "slices": _slices(slices),
    }
    return AlgorithmIdentificationSequence(
        name=_long(printable(algorithm.name)),
        family=dictionary.DCM.ArtificialIntelligence,
        version=_long(printable(algorithm.version)),
        source=SOFTWARE,
        parameters={name: printable(value) for name, value in told.items() if value},
    )


def _slices(numbers: Sequence[int]) -> str:
    """The first and the last of a part of a study, for a text."""
    return f"{min(numbers)}-{max(numbers)}" if numbers else ""


def _parameters(made: Any) -> str:
    told = made.SegmentSequence[-1].SegmentationAlgorithmIdentificationSequence[0]
    return str(told.get("AlgorithmParameters", ""))


def _series_number(header: Any) -> int:
    try:
        return min(max(int(header.get("SeriesNumber") or 0), 0), 10**6) + _SERIES
    except (TypeError, ValueError):
        return _SERIES


def _long(text: str) -> str:
    """A text as a Long String: at most 64 characters, and no backslash, which separates values there."""
    return text.replace("\\", "/")[:LONGEST_TEXT].strip()


def _own_uid(made: Any) -> str:
    """An instance's identifier, which follows from what it says and shows: a file that was changed has another."""
    from pydicom.uid import generate_uid

    described = [
        [str(item.SegmentLabel), str(item.SegmentedPropertyTypeCodeSequence[0].CodeValue)]
        for item in made.SegmentSequence
    ]
    frames = [
        str(group.FrameContentSequence[0].DimensionIndexValues)
        for group in made.PerFrameFunctionalGroupsSequence
        if "FrameContentSequence" in group and "DimensionIndexValues" in group.FrameContentSequence[0]
    ]
    told = [str(made.get(keyword, "")) for keyword in _TOLD]
    pixels = bytes(made.PixelData)
    padded = pixels + bytes(len(pixels) % 2)  # as they are in a file
    text = json.dumps([SOFTWARE, told, _parameters(made), described, frames, hashlib.sha256(padded).hexdigest()])
    return str(generate_uid(entropy_srcs=[text]))


_TOLD = ("SeriesInstanceUID", "ContentDate", "ContentTime", "ContentDescription", "PatientID", "StudyInstanceUID")
