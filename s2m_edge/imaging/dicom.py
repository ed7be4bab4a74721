"""DICOM pictures as a viewer shows them: the grey scale pipeline of PS3.3 C.11 and PS3.4 N.2, decoded by pydicom.

    stored values > modality (slope and intercept, or LUT) > values of interest (window or LUT) > presentation (inverse)

What a file leaves empty, or fills with what cannot be (a window of no width, a slope of 0), is left out: a picture that
can be shown is shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2m_edge.errors import ImageError
from s2m_edge.imaging.decoders import has_decoder, missing_decoder
from s2m_edge.imaging.dicom_tables import first_number, first_table, is_empty, through_palette
from s2m_edge.imaging.intensity import Intensity, levels, spread, volume_ends
from s2m_edge.imaging.limits import require_pixels

UNCOMPRESSED = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99")
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_MODALITY = ("RescaleSlope", "RescaleIntercept", "ModalityLUTSequence")
_INTEREST = ("WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence")
_GROUPS = {  # functional groups of Enhanced objects that hold them
    "PixelValueTransformationSequence": _MODALITY,
    "FrameVOILUTSequence": _INTEREST,
}


def read_dicom(path: Path, index: int | None, intensity: Intensity) -> NDArray[np.uint8]:
    """One frame as it is shown: H x W grey or H x W x 3, uint8, in the stored orientation.

    Args:
        index: of the frame; the middle one by default.
        intensity: how deep values without a window of the file's become 8 bits.

    Raises:
        ImageError: no picture is in it, its frame is not there, its compression needs a package that is missing, or it
            is larger than the limit.
    """
    header = open_dicom(path)
    count = count_frames(header)
    chosen = count // 2 if index is None else index
    if not 0 <= chosen < count:
        raise ImageError(f"{path} has no slice {chosen}", f"Choose one of 0..{count - 1} with --slice.")
    ends = None
    if over_volume(intensity) and count > 1:
        ends = volume_ends(lambda: (frame_values(header, path, number) for number in range(count)), intensity)
    return show_frame(header, path, chosen, intensity, ends)


def show_frame(
    header: Any, path: Path, index: int, intensity: Intensity, ends: tuple[float, float] | None = None
) -> NDArray[np.uint8]:
    """One frame of an opened data set as it is shown: see `read_dicom`.

    Args:
        ends: of the values that are spread over 0..255, where they are the whole volume's.
    """
    frame = _Frame(header, index)
    stored = decode_frame(header, path, index)
    photometric = _photometric(header)
    if photometric == "PALETTE COLOR":
        return through_palette(stored, header, path)
    if stored.ndim == 3:
        return stored if stored.dtype == np.uint8 else spread(stored, intensity)
    shown = _shown(stored, header, frame, intensity, ends)
    inverse = photometric == "MONOCHROME1" or str(header.get("PresentationLUTShape", "")).strip().upper() == "INVERSE"
    return 255 - shown if inverse else shown


def over_volume(intensity: Intensity) -> bool:
    """Whether a rule asks for the values of a whole volume."""
    return intensity.rule == "percentiles" and intensity.over == "volume"


def is_grey(header: Any) -> bool:
    """Whether the frames of a data set are grey levels, and neither colours nor numbers of colours in a palette."""
    return _photometric(header).startswith("MONOCHROME") and int(header.get("SamplesPerPixel") or 1) == 1


def _photometric(header: Any) -> str:
    return str(header.get("PhotometricInterpretation", "MONOCHROME2")).strip().upper()


def frame_values(header: Any, path: Path, index: int) -> NDArray[Any]:
    """One frame's values in the modality's units (Hounsfield units of a CT), before any window."""
    return _to_units(decode_frame(header, path, index), _Frame(header, index).modality)


def open_dicom(path: Path) -> Any:
    """A file's data set, with or without the preamble of PS3.10; its pixels are not decoded.

    Raises:
        ImageError: it holds no picture, or one larger than the limit.
    """
    import pydicom

    header = pydicom.dcmread(path, force=True, defer_size="64 KB")
    rows, columns = int(header.get("Rows") or 0), int(header.get("Columns") or 0)
    if not (rows and columns and any(name in header for name in _PIXELS)):
        kind = getattr(header.get("SOPClassUID"), "name", "")
        if not kind:
            raise ImageError(f"{path} cannot be read as DICOM", "The file is corrupt or of another kind.")
        raise ImageError(f"{path} holds no picture (it is {kind})", "Give a DICOM image.")
    require_pixels(path, columns, rows)
    if not hasattr(header, "file_meta") or "TransferSyntaxUID" not in header.file_meta:
        header.ensure_file_meta()
        little, implicit = header.original_encoding[1], header.original_encoding[0]
        setattr(header.file_meta, "TransferSyntaxUID", UNCOMPRESSED[0 if implicit else (1 if little else 2)])  # noqa: B010
    return header


def count_frames(header: Any) -> int:
    """Frames of a data set; an empty or impossible number is one."""
    try:
        return max(1, int(header.get("NumberOfFrames") or 1))
    except (TypeError, ValueError):
        return 1


def decode_frame(header: Any, path: Path, index: int) -> NDArray[Any]:
    """A frame's stored values, H x W or H x W x 3 (YBR turned to RGB), bits that are no part of them cleared.

    Raises:
        ImageError: its compression needs a package that is missing, or its values are damaged.
    """
    from pydicom.pixels import pixel_array

    try:
        placed = _decoded_in_place(header, path, index)
        return pixel_array(header, index=index) if placed is None else placed
    except MemoryError:
        raise
    except Exception as error:  # pydicom, its plugins and the codecs each have their own
        syntax = str(header.file_meta.TransferSyntaxUID)
        if not has_decoder(syntax):
            raise missing_decoder(syntax, path) from None
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ImageError(f"{path} cannot be read as an image ({reason})", "The file is corrupt.") from None


def _decoded_in_place(header: Any, path: Path, index: int) -> NDArray[Any] | None:
    """One frame of many, of which no more is read than itself; None where the pixels are read already, or the whole
    file is one compressed piece."""
    from pydicom.pixels import get_decoder
    from pydicom.pixels.utils import as_pixel_options

    syntax = str(header.file_meta.TransferSyntaxUID)
    if count_frames(header) == 1 or syntax == UNCOMPRESSED[3]:
        return None
    keyword = next(name for name in _PIXELS if name in header)
    raw = header.get_item(keyword, keep_deferred=True)
    if getattr(raw, "value", b"") is not None or not getattr(raw, "value_tell", 0):
        return None
    options = {**as_pixel_options(header), "pixel_vr": raw.VR, "pixel_keyword": keyword}
    with path.open("rb") as file:
        file.seek(raw.value_tell)
        return get_decoder(syntax).as_array(file, index=index, validate=True, raw=False, **options)[0]


@dataclass(frozen=True)
class _Frame:
    """Where a frame's attributes are found: its functional groups, the shared ones, the data set."""

    header: Any
    index: int

    @property
    def modality(self) -> dict[str, Any]:
        return self._found(_MODALITY)

    @property
    def interest(self) -> dict[str, Any]:
        return self._found(_INTEREST)

    def _found(self, wanted: tuple[str, ...]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for place in self._places(wanted):
            for name in wanted:
                if name not in found and not is_empty(place.get(name)):
                    found[name] = place.get(name)
        return found

    def _places(self, wanted: tuple[str, ...]) -> list[Any]:
        places = []
        frames = self.header.get("PerFrameFunctionalGroupsSequence") or ()
        own = [frames[self.index]] if self.index < len(frames) else []
        for group in (*own, *(self.header.get("SharedFunctionalGroupsSequence") or ())):
            for name, attributes in _GROUPS.items():
                if attributes is wanted:
                    places.extend(group.get(name) or ())
        return [*places, self.header]


def _shown(
    stored: NDArray[Any],
    header: Any,
    frame: _Frame,
    intensity: Intensity,
    ends: tuple[float, float] | None,
) -> NDArray[np.uint8]:
    """Grey values through modality and values of interest, before the presentation."""
    values = _to_units(stored, frame.modality)
    if intensity.rule == "window" and not (values.dtype == np.uint8 and values is stored):
        return spread(values, intensity)
    interest = frame.interest
    if intensity.rule == "percentiles":
        table = first_table(interest.get("VOILUTSequence"))
        if table is not None:
            return table.levels(values)
        windowed = _windowed(values, interest)
        if windowed is not None:
            return windowed
    if values.dtype == np.uint8 and values is stored and int(header.get("BitsStored") or 8) == 8:
        return stored
    if ends is not None:
        return levels(values, *ends)
    return spread(values, intensity, _judged(stored, values, header))


def _judged(stored: NDArray[Any], values: NDArray[Any], header: Any) -> NDArray[Any] | None:
    """The values whose percentiles count: without the padding around a round field of view (PS3.3 C.7.5.1.1.2)."""
    padding = header.get("PixelPaddingValue")
    if is_empty(padding):
        return None
    ends = [padding, header.get("PixelPaddingRangeLimit")]
    low, high = (end(value for value in ends if not is_empty(value)) for end in (min, max))
    inside = values[(stored < low) | (stored > high)]
    return inside if inside.size else None


def _to_units(stored: NDArray[Any], modality: dict[str, Any]) -> NDArray[Any]:
    """Stored values in the modality's units; the same array where nothing changes."""
    table = first_table(modality.get("ModalityLUTSequence"))
    if table is not None:
        return table.look_up(stored)
    slope = first_number(modality.get("RescaleSlope"))
    intercept = first_number(modality.get("RescaleIntercept"))
    slope = 1.0 if slope is None or slope == 0 else slope
    intercept = 0.0 if intercept is None else intercept
    if slope == 1 and intercept == 0:
        return stored
    return stored.astype(np.float64) * slope + intercept


def _windowed(values: NDArray[Any], interest: dict[str, Any]) -> NDArray[np.uint8] | None:
    """Values through the first window, 0..255 (PS3.3 C.11.2.1.2 and .3); None where there is none that can be."""
    centre, width = first_number(interest.get("WindowCenter")), first_number(interest.get("WindowWidth"))
    if centre is None or width is None or width <= 0:
        return None
    function = str(interest.get("VOILUTFunction", "LINEAR")).strip().upper()
    if function == "SIGMOID":
        with np.errstate(over="ignore"):
            shares = 1 / (1 + np.exp(-4 * (values.astype(np.float64) - centre) / width))
        return levels(shares, 0.0, 1.0)
    if function == "LINEAR_EXACT":
        return levels(values, centre - width / 2, centre + width / 2)
    if width < 1:  # of LINEAR it is at least 1
        return None
    if width == 1:
        return np.where(values > centre - 0.5, 255, 0).astype(np.uint8)
    return levels(values, centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2)
