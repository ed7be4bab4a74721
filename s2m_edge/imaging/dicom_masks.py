"""Masks in DICOM: grey pictures, colour pictures of a mask, and segmentation objects. pydicom decodes.

Of a segmentation object the frames of one slice are read: each segment's pixels become the segment's number.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2m_edge.errors import ImageError
from s2m_edge.imaging.dicom import count_frames, decode_frame, open_dicom
from s2m_edge.imaging.tones import label_colours, one_channel, palette_values, whole_values

SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.7"
_MILLIMETRES = 2  # decimals in which positions of one slice agree


def read_dicom_mask(path: Path, frame: int | None = None, colours: Sequence[tuple[int, int]] = ()) -> NDArray[np.uint8]:
    """The values of a DICOM mask, H x W, uint8; see `read_mask`.

    Raises:
        ImageError: it is too large, or of a kind whose values are no labels.
    """
    data = open_dicom(path)
    if data.get("SOPClassUID") == SEGMENTATION:
        return _segments(data, path)
    photometric = str(data.get("PhotometricInterpretation", "")).strip().upper()
    pixels = _one_frame(data, path, frame)
    if data.get("SOPClassUID") == LABEL_MAP:
        return whole_values(pixels, path)
    if pixels.ndim == 3:
        if pixels.dtype != np.uint8 or pixels.shape[2] != 3:
            raise ImageError(f"{path} has colours of more than 8 bits", "Save it as grey, or with 8 bits a channel.")
        lossy = str(data.get("LossyImageCompression", "00")) == "01"
        return label_colours(pixels, colours, path, lossy) if colours else one_channel(pixels, path, lossy)
    if photometric == "PALETTE COLOR":
        return _through_palette(pixels, data, path, colours)
    if colours:
        raise ImageError(f"{path} is grey, and --labels names colours", "Leave --labels out, or give values there.")
    if photometric == "MONOCHROME1":
        return _turned(pixels, int(data.get("BitsStored", 8)), path)
    if photometric == "MONOCHROME2":
        return _two_deep_values(_rescaled(pixels, data), path)
    raise ImageError(
        f"{path} has the photometric interpretation {photometric or 'of none'}", "Save it as an 8-bit PNG."
    )


def _one_frame(data: Any, path: Path, frame: int | None) -> NDArray[Any]:
    count = count_frames(data)
    chosen = count // 2 if frame is None else frame
    if not 0 <= chosen < count:
        raise ImageError(f"{path} has no slice {chosen}", f"Its slices are 0 to {count - 1}.")
    return decode_frame(data, path, chosen)


def _rescaled(pixels: NDArray[Any], data: Any) -> NDArray[Any]:
    """Stored values by the file's slope and intercept, where it has them."""
    slope, intercept = data.get("RescaleSlope"), data.get("RescaleIntercept")
    slope, intercept = (
        (1.0 if slope in (None, "") else float(slope)),
        (0.0 if intercept in (None, "") else float(intercept)),
    )
    return pixels if (slope or 1.0, intercept) == (1.0, 0.0) else pixels * slope + intercept


def _turned(pixels: NDArray[Any], bits: int, path: Path) -> NDArray[np.uint8]:
    """MONOCHROME1, in which the lower value is the brighter one: of two values it is 255 and the other 0."""
    found = np.unique(pixels)
    top = 2**bits - 1
    if len(found) > 2 or (len(found) == 1 and int(found[0]) not in (0, top)):
        raise ImageError(
            f"{path} is MONOCHROME1 and has {len(found)} values: which are foreground cannot be told",
            "Save it as MONOCHROME2, or as an 8-bit PNG.",
        )
    bright = 0 if len(found) == 1 else found[0]
    return np.where(pixels == bright, 255, 0).astype(np.uint8)


def _two_deep_values(pixels: NDArray[Any], path: Path) -> NDArray[np.uint8]:
    """Whole numbers as they are; 0 and one value above 255, as masks of 12 bits have, as 0 and 255."""
    found = np.unique(pixels)
    if len(found) == 2 and found[0] == 0 and found[1] > 255:
        return np.where(pixels > 0, 255, 0).astype(np.uint8)
    return whole_values(pixels, path)


def _through_palette(
    pixels: NDArray[Any], data: Any, path: Path, colours: Sequence[tuple[int, int]]
) -> NDArray[np.uint8]:
    from pydicom.pixels import apply_color_lut

    if pixels.max() > 255:
        raise ImageError(f"{path} has a palette of more than 256 entries", "Save it as an 8-bit PNG.")
    table = np.asarray(apply_color_lut(np.arange(256, dtype=np.uint8).reshape(1, 256), data))[0]
    table = table[:, :3] if table.dtype == np.uint8 else (table[:, :3] >> 8).astype(np.uint8)
    indices = pixels.astype(np.uint8)
    return label_colours(table[indices], colours, path) if colours else palette_values(indices, table)


def _segments(data: Any, path: Path) -> NDArray[np.uint8]:
    """Numbers of segments, H x W; where they overlap the larger one holds."""
    kind = str(data.get("SegmentationType", "BINARY"))
    if kind != "BINARY":
        raise ImageError(
            f"{path} is a segmentation object of the type {kind}", "BINARY ones are read; save it so, or as a PNG."
        )
    pixels = np.stack([decode_frame(data, path, number) for number in range(count_frames(data))])
    groups = list(data.get("PerFrameFunctionalGroupsSequence") or [])
    shared = (list(data.get("SharedFunctionalGroupsSequence") or []) or [None])[0]
    if len(groups) not in (0, len(pixels)) or (not groups and len(pixels) > 1):
        raise ImageError(
            f"{path} has {len(pixels)} frames and says of {len(groups)} which segment they are", "Write it again."
        )
    frames = groups or [None]
    places = {_position(frame) or _position(shared) for frame in frames}
    if len(places) > 1:
        raise ImageError(
            f"{path} is a segmentation object of {len(places)} slices", "Save it as NIfTI, or one slice a file."
        )
    united = np.zeros(pixels.shape[1:], np.uint8)
    for plane, frame in zip(pixels, frames, strict=True):
        number = _segment_number(frame) or _segment_number(shared) or _only_segment(data)
        if number is None or not 1 <= number <= 255:
            raise ImageError(f"{path} has a frame of the segment {number}", "Segments are numbered from 1 to 255.")
        united = np.maximum(united, (plane > 0).astype(np.uint8) * np.uint8(number))
    return united


def _position(group: Any) -> tuple[float, ...] | None:
    sequence = None if group is None else group.get("PlanePositionSequence")
    found = sequence[0].get("ImagePositionPatient") if sequence else None
    return None if not found else tuple(round(float(value), _MILLIMETRES) for value in found)


def _segment_number(group: Any) -> int | None:
    sequence = None if group is None else group.get("SegmentIdentificationSequence")
    found = sequence[0].get("ReferencedSegmentNumber") if sequence else None
    return None if found is None else int(found)


def _only_segment(data: Any) -> int | None:
    described = list(data.get("SegmentSequence") or [])
    return int(described[0].get("SegmentNumber", 1)) if len(described) == 1 else None
