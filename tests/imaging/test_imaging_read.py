"""Pictures of every supported kind become the same 8-bit RGB, and bad ones get one clear line."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image
from pydicom import uid
from pydicom.dataset import FileDataset, FileMetaDataset

from s2m_edge.errors import ImageError
from s2m_edge.imaging.folders import list_images
from s2m_edge.imaging.read import read_image

# Not square and not symmetric, so that a transposed or mirrored axis shows.
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])  # stored as DICOM's axial slices lie: left, back, head
RAMP = np.add.outer(np.arange(20) * 5, np.arange(30) * 2).astype(np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".webp"])
def test_lossless_rgb_pictures_come_back_to_the_pixel(tmp_path: Path, suffix: str):
    pixels = np.stack([RAMP, RAMP[::-1], RAMP[:, ::-1]], axis=2)
    path = tmp_path / f"picture{suffix}"
    Image.fromarray(pixels).save(path, lossless=True)
    assert np.array_equal(read_image(path), pixels)


def test_a_real_jpeg_is_what_pillow_decodes(polyp_images: list[Path]):
    assert np.array_equal(read_image(polyp_images[0]), np.asarray(Image.open(polyp_images[0]).convert("RGB")))


def test_grey_becomes_rgb_alpha_is_dropped_and_palettes_are_resolved(tmp_path: Path):
    Image.fromarray(RAMP).save(tmp_path / "grey.png")
    rgba = np.dstack([RAMP, RAMP, RAMP, np.full_like(RAMP, 9)])
    Image.fromarray(rgba).save(tmp_path / "rgba.png")
    Image.fromarray(rgba[..., :3]).quantize(256).save(tmp_path / "palette.png")
    Image.fromarray(np.dstack([RAMP, np.full_like(RAMP, 9)]), mode="LA").save(tmp_path / "la.png")
    for name in ("grey", "rgba", "la"):
        assert np.array_equal(read_image(tmp_path / f"{name}.png"), rgba[..., :3]), name
    assert np.abs(read_image(tmp_path / "palette.png").astype(int) - rgba[..., :3]).max() <= 4


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bit_is_stretched_from_its_smallest_to_its_largest(tmp_path: Path, suffix: str):
    deep = RAMP.astype(np.uint16) * 7 + 1000
    Image.fromarray(deep).save(tmp_path / f"deep{suffix}")
    expected = np.floor((deep - deep.min()) * (255 / (deep.max() - deep.min())) + 0.5).astype(np.uint8)
    assert np.array_equal(read_image(tmp_path / f"deep{suffix}")[..., 0], expected)


def test_exif_orientation_is_respected(tmp_path: Path):
    picture = Image.fromarray(RAMP)
    exif = picture.getexif()
    exif[0x0112] = 6  # the camera was turned; shown upright this is a quarter turn clockwise
    picture.save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(read_image(tmp_path / "turned.png")[..., 0], np.rot90(RAMP, -1))


def test_a_nifti_volume_gives_its_middle_slice_or_the_one_asked_for(tmp_path: Path):
    volume = np.stack([RAMP.T * (index + 1.0) for index in range(3)], axis=2)
    nibabel.save(nibabel.Nifti1Image(volume.astype(np.float32), LPS), tmp_path / "scan.nii.gz")
    stretched = np.floor(RAMP * (255 / RAMP.max()) + 0.5).astype(np.uint8)
    assert np.array_equal(read_image(tmp_path / "scan.nii.gz")[..., 0], stretched)
    assert read_image(tmp_path / "scan.nii.gz", 0).shape == (20, 30, 3)
    with pytest.raises(ImageError, match="no slice 3"):
        read_image(tmp_path / "scan.nii.gz", 3)


def _write_dicom(path: Path, pixels: np.ndarray, photometric: str, window: tuple[float, float] | None = None) -> None:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = uid.SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = uid.generate_uid()
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.Modality, data.PatientName = "OT", "Nobody"
    data.Rows, data.Columns = pixels.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, photometric
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 0
    data.PixelSpacing, data.ImagePositionPatient = [1, 1], [0, 0, 0]
    data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    data.RescaleSlope, data.RescaleIntercept = 1, 0
    if window is not None:
        data.WindowCenter, data.WindowWidth = window
    data.PixelData = pixels.astype(np.uint16).tobytes()
    data.save_as(path, enforce_file_format=True)


def test_dicom_is_upright_windowed_and_monochrome1_is_inverted(tmp_path: Path):
    deep = RAMP.astype(np.uint16) * 10
    stretched = np.floor(RAMP * (255 / RAMP.max()) + 0.5).astype(np.uint8)
    _write_dicom(tmp_path / "plain.dcm", deep, "MONOCHROME2")
    assert np.array_equal(read_image(tmp_path / "plain.dcm")[..., 0], stretched)
    _write_dicom(tmp_path / "inverted.dcm", deep, "MONOCHROME1")
    assert np.abs(read_image(tmp_path / "inverted.dcm")[..., 0].astype(int) - (255 - stretched)).max() <= 1
    _write_dicom(tmp_path / "window.dcm", deep, "MONOCHROME2", window=(500.0, 200.0))
    windowed = read_image(tmp_path / "window.dcm")[..., 0]
    assert (windowed[deep < 390] == 0).all()
    assert (windowed[deep > 610] == 255).all()
    (tmp_path / "plain.dcm").rename(tmp_path / "no-suffix")
    assert np.array_equal(read_image(tmp_path / "no-suffix")[..., 0], stretched)


def test_bad_pictures_are_refused_in_one_line(tmp_path: Path, polyp_images: list[Path]):
    cases = {
        "empty.png": (b"", "empty"),
        "text.png": (b"this is no picture", "cannot be read"),
        "cut.jpg": (polyp_images[0].read_bytes()[:3000], "cannot be read"),
        "cut.nii.gz": (b"\x1f\x8b\x08junk", "cannot be read"),
        "cut.dcm": (b"\0" * 128 + b"DICMjunk", "cannot be read"),
    }
    for name, (content, word) in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ImageError, match=word) as caught:
            read_image(tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(ImageError, match="no image"):
        read_image(tmp_path / "absent.png")


def test_a_picture_of_one_pixel_is_refused(tmp_path: Path):
    Image.fromarray(RAMP[:1, :1]).save(tmp_path / "dot.png")
    with pytest.raises(ImageError, match="1 x 1"):
        read_image(tmp_path / "dot.png")


def test_a_folder_without_pictures_is_refused(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(ImageError, match="holds no images"):
        list_images(tmp_path)
    with pytest.raises(ImageError, match="no folder"):
        list_images(tmp_path / "absent")
