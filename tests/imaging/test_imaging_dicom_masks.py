"""Masks in DICOM: what a viewer shows of two values, segments by number, and refusals by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

from s2m_edge.errors import ImageError
from s2m_edge.imaging.dicom_masks import SEGMENTATION
from s2m_edge.imaging.masks import read_mask

MASK = np.zeros((20, 30), np.uint8)
MASK[3:8, 5:25] = 1


def write(path: Path, pixels: np.ndarray, photometric: str = "MONOCHROME2", **more: Any) -> Path:
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = more.pop("SOPClassUID", SecondaryCaptureImageStorage)
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    colour = photometric == "RGB"
    frames = pixels if pixels.ndim == (4 if colour else 3) else pixels[None]
    data.Rows, data.Columns = frames.shape[1:3]
    data.SamplesPerPixel = 3 if colour else 1
    if colour:
        data.PlanarConfiguration = 0
    if len(frames) > 1:
        data.NumberOfFrames = len(frames)
    bits = more.pop("bits", pixels.dtype.itemsize * 8)
    data.PhotometricInterpretation = photometric
    data.BitsAllocated = data.BitsStored = bits
    data.HighBit, data.PixelRepresentation = bits - 1, 0
    if bits == 1:
        packed = np.packbits(pixels.ravel(), bitorder="little").tobytes()
        data.PixelData = packed + b"\0" * (len(packed) % 2)
    else:
        data.PixelData = pixels.tobytes()
    for name, value in more.items():
        setattr(data, name, value)
    data.save_as(path, enforce_file_format=True)
    return path


def segment(number: int, position: tuple[float, ...] | None = (0.0, 0.0, 5.0)) -> Dataset:
    """What a frame of a segmentation object says of itself."""
    group, which = Dataset(), Dataset()
    which.ReferencedSegmentNumber = number
    group.SegmentIdentificationSequence = Sequence([which])
    if position is not None:
        where = Dataset()
        where.ImagePositionPatient = list(position)
        group.PlanePositionSequence = Sequence([where])
    return group


def write_segments(path: Path, planes: np.ndarray, groups: list[Dataset], **more: Any) -> Path:
    options: dict[str, Any] = {"SOPClassUID": SEGMENTATION, "SegmentationType": "BINARY", "bits": 1, **more}
    return write(path, planes, PerFrameFunctionalGroupsSequence=Sequence(groups), **options)


@pytest.mark.parametrize("value", [1, 255])
def test_monochrome_2_is_its_values(tmp_path: Path, value: int):
    np.testing.assert_array_equal(read_mask(write(tmp_path / "m.dcm", MASK * np.uint8(value))), MASK * value)


def test_12_bits_of_two_values_are_0_and_255(tmp_path: Path):
    np.testing.assert_array_equal(read_mask(write(tmp_path / "m.dcm", MASK.astype(np.uint16) * 4095)), MASK * 255)


@pytest.mark.parametrize("value", [1, 255])
def test_monochrome_1_shows_its_lower_value_bright(tmp_path: Path, value: int):
    path = write(tmp_path / "m.dcm", (1 - MASK) * np.uint8(value), "MONOCHROME1")
    np.testing.assert_array_equal(read_mask(path), MASK * 255)
    empty = write(tmp_path / "empty.dcm", np.full((9, 9), 255, np.uint8), "MONOCHROME1")
    assert not read_mask(empty).any()
    assert read_mask(write(tmp_path / "full.dcm", np.zeros((9, 9), np.uint8), "MONOCHROME1")).all()


def test_colours_are_read_where_channels_are_alike(tmp_path: Path):
    path = write(tmp_path / "m.dcm", np.repeat(MASK[..., None] * np.uint8(255), 3, 2), "RGB")
    np.testing.assert_array_equal(read_mask(path), MASK * 255)
    green = write(tmp_path / "green.dcm", MASK[..., None] * np.array([0, 255, 0], np.uint8), "RGB")
    with pytest.raises(ImageError, match=r"in colours \(#000000, #00ff00\)"):
        read_mask(green)
    np.testing.assert_array_equal(read_mask(green, colours=[(0x00FF00, 1)]), MASK)


def test_a_palette_is_read_by_what_it_shows(tmp_path: Path):
    table = {
        f"{name}PaletteColorLookupTable{part}": value
        for name in ("Red", "Green", "Blue")
        for part, value in (("Descriptor", [2, 0, 16]), ("Data", np.array([65535, 0], np.uint16).tobytes()))
    }
    path = write(tmp_path / "m.dcm", 1 - MASK, "PALETTE COLOR", **table)
    np.testing.assert_array_equal(read_mask(path), MASK * 255)


def test_frames_are_chosen_as_those_of_an_image(tmp_path: Path):
    path = write(tmp_path / "m.dcm", np.stack([MASK * 0, MASK, MASK * 3]))
    np.testing.assert_array_equal(read_mask(path), MASK)
    np.testing.assert_array_equal(read_mask(path, 2), MASK * 3)
    with pytest.raises(ImageError, match="no slice 3"):
        read_mask(path, 3)


@pytest.mark.parametrize(
    ("pixels", "photometric", "words"),
    [
        (np.resize(np.array([0, 1, 2], np.uint8), (9, 9)), "MONOCHROME1", "MONOCHROME1 and has 3 values"),
        (np.resize(np.array([0, 1, 900], np.uint16), (9, 9)), "MONOCHROME2", "values from 0 to 900"),
        (np.zeros((9, 9), np.uint8), "YBR_PARTIAL_420", "photometric interpretation YBR_PARTIAL_420"),
    ],
)
def test_what_is_no_mask_is_refused_by_name(tmp_path: Path, pixels: np.ndarray, photometric: str, words: str):
    with pytest.raises(ImageError, match=words):
        read_mask(write(tmp_path / "m.dcm", pixels, photometric))


def test_segments_of_one_slice_become_their_numbers(tmp_path: Path):
    other = np.roll(MASK, 10, axis=0)
    path = write_segments(tmp_path / "seg.dcm", np.stack([MASK, other]), [segment(2), segment(5)])
    np.testing.assert_array_equal(read_mask(path), np.maximum(MASK * 2, other * 5))


def test_a_single_frame_is_its_only_segment(tmp_path: Path):
    described = Dataset()
    described.SegmentNumber = 1
    for name, groups in (("with.dcm", [segment(1, None)]), ("without.dcm", [])):
        path = write_segments(tmp_path / name, MASK, groups, SegmentSequence=Sequence([described]))
        np.testing.assert_array_equal(read_mask(path), MASK)


def test_segments_of_several_slices_and_of_other_types_are_refused_by_name(tmp_path: Path):
    groups = [segment(1), segment(1, (0.0, 0.0, 10.0))]
    with pytest.raises(ImageError, match="segmentation object of 2 slices"):
        read_mask(write_segments(tmp_path / "seg.dcm", np.stack([MASK, MASK]), groups))
    with pytest.raises(ImageError, match="of the type FRACTIONAL"):
        read_mask(write_segments(tmp_path / "f.dcm", MASK, [segment(1)], SegmentationType="FRACTIONAL"))
    with pytest.raises(ImageError, match="the segment 300"):
        read_mask(write_segments(tmp_path / "n.dcm", MASK, [segment(300)]))
