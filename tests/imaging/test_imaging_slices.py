"""Slices are counted from a file's header."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image
from pydicom import uid
from pydicom.dataset import FileDataset, FileMetaDataset

from s2m_edge.errors import ImageError
from s2m_edge.imaging.slices import count_slices


def write_dicom_header(path: Path, frames: int | None) -> None:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = uid.SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = uid.generate_uid()
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.Rows, data.Columns = meta.MediaStorageSOPClassUID, 8, 9
    data.PixelData = b"\0" * 72 * (frames or 1)
    if frames is not None:
        data.NumberOfFrames = frames
    data.save_as(path, enforce_file_format=True)


def test_slices_of_volumes_and_frames_are_counted(tmp_path: Path, polyp_images: list[Path]):
    nibabel.save(nibabel.Nifti1Image(np.zeros((8, 9, 7), np.float32), np.eye(4)), tmp_path / "volume.nii.gz")
    nibabel.save(nibabel.Nifti1Image(np.zeros((8, 9), np.float32), np.eye(4)), tmp_path / "plane.nii")
    frames = [Image.fromarray(np.full((20, 20), value, np.uint8)) for value in (1, 2, 3)]
    frames[0].save(tmp_path / "stack.tif", save_all=True, append_images=frames[1:])
    write_dicom_header(tmp_path / "loop.dcm", 12)
    write_dicom_header(tmp_path / "one-without-suffix", None)
    names = ("volume.nii.gz", "plane.nii", "stack.tif", "loop.dcm", "one-without-suffix")
    assert [count_slices(tmp_path / name) for name in names] == [7, 1, 3, 12, 1]
    assert count_slices(polyp_images[0]) == 1


@pytest.mark.parametrize("name", ["missing.png", "missing.nii", "text.png", "text.dcm", "text.nii.gz"])
def test_what_cannot_be_read_is_named(name: str, tmp_path: Path):
    if name.startswith("text"):
        (tmp_path / name).write_text("no picture")
    with pytest.raises(ImageError, match=name) as caught:
        count_slices(tmp_path / name)
    assert "\n" not in str(caught.value)
