"""How much of the body a pixel of a labelled slice stands for, where its image's file says it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from s2m_edge.errors import ImageError
from s2m_edge.imaging.folders import NIFTI_SUFFIXES, looks_like_dicom
from s2m_edge.imaging.study.frames import GEOMETRY, Frame, frames_of
from s2m_edge.imaging.study.order import stack
from s2m_edge.imaging.study.values import text
from s2m_edge.silence import without_warnings
from s2m_edge.train.data.sample import Sample

CUBIC_MILLIMETRES = 1000.0
"""Of a millilitre."""


def pixel_millilitres(samples: Sequence[Sample]) -> list[float | None]:
    """Millilitres that a pixel of each sample stands for; None where its file does not say.

    Of NIfTI a voxel's own volume. Of DICOM the pixel's area times what its slice stands for among the given slices of
    its series (`Grid.extents`: half the way to both neighbours, of a slice by itself its thickness).

    Raises:
        ImageError: a DICOM file cannot be read.
    """
    found: list[float | None] = [None] * len(samples)
    series: dict[tuple[str, ...], list[tuple[int, Frame]]] = {}
    for place, sample in enumerate(samples):
        if sample.image.name.lower().endswith(NIFTI_SUFFIXES):
            found[place] = _voxel(sample.image)
        elif looks_like_dicom(sample.image):
            name, frame = _frame(sample)
            series.setdefault((name, frame.reference, str(frame.orientation)), []).append((place, frame))
    for members in series.values():
        for place, millilitres in zip((place for place, _ in members), _of_series(members), strict=True):
            found[place] = millilitres
    return found


def patient_id(path: Path) -> str:
    """The PatientID of a DICOM file; empty of any other file, and where there is none. It is nothing to be shown."""
    return text(_header(path), "PatientID") if looks_like_dicom(path) else ""


def _header(path: Path) -> object:
    import pydicom

    wanted = ["PatientID", "SeriesInstanceUID", "SOPInstanceUID", *GEOMETRY]
    try:
        with without_warnings(Warning):
            return pydicom.dcmread(path, force=True, stop_before_pixels=True, specific_tags=wanted)
    except Exception as error:  # pydicom's own, and the file system's
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ImageError(f"{path} cannot be read as DICOM ({reason})", "The file is missing or corrupt.") from None


def _frame(sample: Sample) -> tuple[str, Frame]:
    header = _header(sample.image)
    frames = frames_of(header, sample.image)
    index = len(frames) // 2 if sample.slice_index is None else min(sample.slice_index, len(frames) - 1)
    return text(header, "SeriesInstanceUID"), frames[index]


def _of_series(members: Sequence[tuple[int, Frame]]) -> list[float | None]:
    frames = [frame for _, frame in members]
    try:
        ordered = stack(frames, "the series")
    except ImageError:  # slices of different sizes, which nothing keeps from being scored
        return [None] * len(members)
    area, extents = ordered.grid.pixel_area, ordered.grid.extents
    if area is None or extents is None:
        return [None] * len(members)
    by_frame = {
        (frame.path, frame.index): float(extent) * area / CUBIC_MILLIMETRES
        for frame, extent in zip(ordered.frames, extents, strict=True)
    }
    return [by_frame.get((frame.path, frame.index)) for frame in frames]


def _voxel(path: Path) -> float | None:
    import nibabel

    try:
        with without_warnings(Warning):
            image = nibabel.load(path)  # type: ignore[attr-defined]
            affine = np.asarray(image.affine, dtype=np.float64)  # type: ignore[attr-defined]
    except Exception:  # whoever reads its pixels says why
        return None
    volume = abs(float(np.linalg.det(affine[:3, :3])))
    return volume / CUBIC_MILLIMETRES if np.isfinite(volume) and volume > 0 else None
