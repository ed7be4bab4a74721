"""Series of DICOM headers with an ellipsoid of a known volume in them, in any position a scanner has."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedMRImageStorage, MRImageStorage, generate_uid

from dicom_files import dicom, item
from s2m_edge.imaging.classes import SegmentClass
from s2m_edge.imaging.grid import Grid
from s2m_edge.imaging.results.algorithm import Algorithm
from s2m_edge.imaging.results.codes import Codes, bundled_codes

HEART = (SegmentClass("left ventricle", (255, 0, 0)), SegmentClass("myocardium", (0, 255, 0)))
HEART_CODES: Codes = bundled_codes("cardiac")
NETWORK = Algorithm("s2mnet-cardiac-256", "0.1.0", "5e" * 32, "float32", "onnx")

AXIAL = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
_TURN = np.array([[0.36, 0.48, -0.80], [-0.80, 0.60, 0.00], [0.48, 0.64, 0.60]])  # a rotation, exactly

SEMI_AXES = (21.0, 15.0, 18.0)
"""mm of the ellipsoid, along rows, down columns, across slices."""

VOLUME_ML = 4.0 / 3.0 * math.pi * math.prod(SEMI_AXES) / 1000.0


def stack(
    directions: NDArray[np.float64] = AXIAL,
    spacing: tuple[float, float] = (1.5, 1.0),
    step: float = 2.0,
    slices: int = 24,
    tilt: float = 0.0,
    missing: int | None = None,
) -> Grid:
    """Slices 44 x 60, about the origin.

    Args:
        step: mm from slice to slice, below zero from the head to the feet.
        tilt: mm that each slice is shifted down its columns, as a tilted gantry does.
        missing: a slice that is not there.
    """
    rows, columns = 44, 60
    normal = np.cross(directions[0], directions[1])
    corner = -(columns - 1) / 2 * spacing[1] * directions[0] - (rows - 1) / 2 * spacing[0] * directions[1]
    along = [number - (slices - 1) / 2 for number in range(slices) if number != missing]
    positions = np.stack([corner + number * (step * normal + tilt * directions[1]) for number in along])
    return Grid(len(along), rows, columns, spacing, directions, positions, abs(step))


GRIDS = {
    "LPS": stack(),
    "reversed": stack(step=-2.0),
    "RAS": stack(np.array([[-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])),
    "LAS": stack(np.array([[1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]), step=-2.0),
    "sagittal": stack(np.array([[0.0, 1.0, 0.0], [0.0, 0.0, -1.0]])),
    "coronal": stack(np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])),
    "oblique": stack(_TURN[:2]),
    "anisotropic": stack(spacing=(1.2, 0.8), step=4.5, slices=11),
    "tilted gantry": stack(tilt=0.7),
    "missing slice": stack(missing=9),
}


def places(grid: Grid) -> NDArray[np.float64]:
    """mm of every pixel's centre, slices x rows x columns x 3, in DICOM's coordinates: PS3.3 C.7.6.2.1.1."""
    assert grid.positions is not None
    assert grid.directions is not None
    assert grid.spacing is not None
    along = np.arange(grid.columns)[:, None] * grid.spacing[1] * grid.directions[0]
    down = np.arange(grid.rows)[:, None] * grid.spacing[0] * grid.directions[1]
    return grid.positions[:, None, None] + down[None, :, None] + along[None, None]


def ellipsoid(grid: Grid) -> NDArray[np.uint8]:
    """Labels, 1 within the ellipsoid about the origin, and 2 in a box of 2 x 3 pixels in its middle slice's corner."""
    assert grid.directions is not None
    axes = np.stack([grid.directions[0], grid.directions[1], np.cross(grid.directions[0], grid.directions[1])])
    scaled = places(grid) @ axes.T / np.array(SEMI_AXES)
    labels = ((scaled**2).sum(axis=-1) <= 1.0).astype(np.uint8)
    labels[grid.slices // 2, 1:3, 2:5] = 2
    return labels


PATIENT = {
    "PatientName": "Doe^Jane",
    "PatientID": "17-42",
    "PatientBirthDate": "19500131",
    "PatientSex": "F",
    "StudyInstanceUID": generate_uid(entropy_srcs=["phantom"]),
    "StudyID": "9",
    "StudyDate": "20200229",
    "StudyTime": "101112",
    "AccessionNumber": "A1",
    "ReferringPhysicianName": "Who^Doctor",
}


def headers(grid: Grid, **tags: Any) -> list[Dataset]:
    """The headers of an MR series with that grid."""
    assert grid.positions is not None
    assert grid.directions is not None
    assert grid.spacing is not None
    series, frame = generate_uid(), generate_uid()
    found = []
    for number, position in enumerate(grid.positions, 1):
        header = dicom(np.zeros((grid.rows, grid.columns), np.int16), **PATIENT)
        header.SOPClassUID, header.SOPInstanceUID = MRImageStorage, generate_uid()
        header.SeriesInstanceUID, header.FrameOfReferenceUID = series, frame
        header.Modality, header.SeriesNumber, header.InstanceNumber = "MR", 3, number
        header.ImageOrientationPatient = [float(value) for value in grid.directions.reshape(-1)]
        header.ImagePositionPatient = [f"{value:.9g}" for value in position]
        header.PixelSpacing, header.SliceThickness = list(grid.spacing), grid.thickness
        for name, value in tags.items():
            setattr(header, name, value)
        found.append(header)
    return found


def enhanced(grid: Grid) -> Dataset:
    """One header of an Enhanced MR object with a frame for each slice of the grid."""
    header = headers(grid)[0]
    for name in ("ImageOrientationPatient", "ImagePositionPatient", "PixelSpacing", "SliceThickness"):
        delattr(header, name)
    assert grid.positions is not None
    assert grid.directions is not None
    assert grid.spacing is not None
    header.SOPClassUID, header.NumberOfFrames = EnhancedMRImageStorage, grid.slices
    orientation = item(ImageOrientationPatient=[float(value) for value in grid.directions.reshape(-1)])
    measures = item(PixelSpacing=list(grid.spacing), SliceThickness=grid.thickness)
    header.SharedFunctionalGroupsSequence = [
        item(PlaneOrientationSequence=[orientation], PixelMeasuresSequence=[measures])
    ]
    header.PerFrameFunctionalGroupsSequence = [
        item(PlanePositionSequence=[item(ImagePositionPatient=[f"{value:.9g}" for value in position])])
        for position in grid.positions
    ]
    return header


@dataclass
class Phantom:
    """A study of DICOM headers, or of none; `order` says where its files have each slice, `chosen` which of a whole
    study's slices these are."""

    grid: Grid
    datasets: Sequence[Any] = ()
    name: str = "phantom"
    path: Path = Path("phantom")
    kind: str = "DICOM series"
    plane: str = "acquired"
    spacing_from: str = "PixelSpacing"
    remarks: tuple[str, ...] = ()
    identity: str = "1d" * 32
    volume: Any = None
    order: list[int] = field(default_factory=list)
    chosen: range | None = None

    def labels_in_file_order(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if self.volume is not None:
            return self.volume.stored(labels)
        return labels[self.order] if self.order else labels
