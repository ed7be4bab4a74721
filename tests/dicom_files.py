"""Small DICOM files, made for tests."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid


def dicom(pixels: np.ndarray, **tags: Any) -> Dataset:
    """A data set of grey (H x W), colour (H x W x 3) or several frames (frames given as `NumberOfFrames`)."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = SecondaryCaptureImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = generate_uid()
    data.Modality, data.PatientName, data.PatientID = "OT", "Nobody", "1"
    colour = pixels.shape[-1] == 3
    data.Rows, data.Columns = pixels.shape[-3:-1] if colour else pixels.shape[-2:]
    data.SamplesPerPixel = 3 if colour else 1
    data.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        data.PlanarConfiguration = 0
    bits = pixels.dtype.itemsize * 8
    data.BitsAllocated = data.BitsStored = bits
    data.HighBit, data.PixelRepresentation = bits - 1, int(pixels.dtype.kind == "i")
    data.PixelData = pixels.tobytes()
    for name, value in tags.items():
        setattr(data, name, value)
    return data


def write_dicom(path: Path, pixels: np.ndarray, **tags: Any) -> Path:
    """`dicom` in a file with a preamble."""
    dicom(pixels, **tags).save_as(path, enforce_file_format=True)
    return path


def item(**tags: Any) -> Dataset:
    """An item of a sequence."""
    data = Dataset()
    for name, value in tags.items():
        setattr(data, name, value)
    return data


SERIES: dict[str, Any] = {
    "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
    "PixelSpacing": [0.5, 0.7],
    "SliceThickness": 3,
}


def write_series(
    folder: Path, slices: np.ndarray, names: list[str] | None = None, first: tuple[float, ...] = (0, 0, 0), **tags: Any
) -> list[Path]:
    """A series of slices x H x W, 3 mm apart along z, numbered from 1, in files of the given names.

    Args:
        first: the place of the first one.
        tags: of every file; a list of as many values as there are slices, marked by a leading `each_`, of each.
    """
    folder.mkdir(parents=True, exist_ok=True)
    each = {name.removeprefix("each_"): values for name, values in tags.items() if name.startswith("each_")}
    shared = {name: value for name, value in tags.items() if not name.startswith("each_")}
    uids = {
        "SeriesInstanceUID": generate_uid(),
        "StudyInstanceUID": generate_uid(),
        "FrameOfReferenceUID": generate_uid(),
    }
    paths = []
    for index, pixels in enumerate(slices):
        own = {"ImagePositionPatient": [first[0], first[1], first[2] + 3 * index], "InstanceNumber": index + 1}
        own |= {name: values[index] for name, values in each.items()}
        path = folder / (names[index] if names else f"IM{index:04d}")
        paths.append(write_dicom(path, pixels, **{**SERIES, **uids, **own, **shared}))
    return paths


def needed_program(program: str, package: str) -> str:
    """Where a checker of others lies; without it the test is skipped, and says so."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed (apt-get install {package}): the standard is not checked here")
    return found


def said_of_segmentation(path: Path) -> tuple[int, list[str]]:
    """The exit code and the lines of dciodvfy, which checks every attribute against the standard's definition of the
    object. Of a sound one it says the object's name alone: `SOUND_SEGMENTATION`."""
    words = [needed_program("dciodvfy", "dicom3tools"), "-new", str(path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=180)
    return done.returncode, (done.stdout + done.stderr).splitlines()


SOUND_SEGMENTATION = (0, ["Segmentation"])
