"""DICOM pictures come out as a viewer shows them (PS3.3 C.11)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.pixels import apply_color_lut
from pydicom.uid import JPEGLosslessSV1

from dicom_files import dicom, item, write_dicom
from s2m_edge.errors import ImageError
from s2m_edge.imaging.intensity import Intensity
from s2m_edge.imaging.read import looks_like_dicom, read_image

RAMP = np.repeat(np.arange(40, 168, 2, dtype=np.uint8)[None], 64, axis=0)
DEEP = (RAMP.astype(np.uint16) - 40) * 30  # 0..3780
HOUNSFIELD = np.linspace(-20, 100, 64).round().astype(np.int16)[:, None].repeat(64, axis=1)


def shown(path: Path, pixels: np.ndarray, **tags: Any) -> np.ndarray:
    return read_image(write_dicom(path / "x.dcm", pixels, **tags))[..., 0]


def half_up(values: np.ndarray) -> np.ndarray:
    return np.floor(np.clip(values, 0, 255) + 0.5).astype(np.uint8)


@pytest.mark.parametrize(
    "tags",
    [
        {},
        {"RescaleSlope": 1, "RescaleIntercept": 0},
        {"RescaleSlope": None, "RescaleIntercept": None},
        {"RescaleSlope": 0, "RescaleIntercept": 0},
        {"ImagePositionPatient": None, "ImageOrientationPatient": None},
        {"PixelSpacing": None, "WindowCenter": None, "WindowWidth": None},
        {"WindowCenter": 40, "WindowWidth": 0},
        {"NumberOfFrames": None},
        {"PixelSpacing": [0, 0], "ImageOrientationPatient": [0, 0, 0, 0, 0, 0]},
    ],
    ids=lambda tags: ", ".join(tags) or "nothing more",
)
def test_eight_bits_without_a_window_stay_as_they_are_whatever_is_empty(tmp_path: Path, tags: dict[str, Any]):
    assert np.array_equal(shown(tmp_path, RAMP, **tags), RAMP)


def test_monochrome1_of_eight_bits_is_255_minus_x(tmp_path: Path):
    assert np.array_equal(shown(tmp_path, RAMP, PhotometricInterpretation="MONOCHROME1"), 255 - RAMP)


def test_the_inverse_presentation_shape_and_monochrome1_mean_one_inversion(tmp_path: Path):
    assert np.array_equal(shown(tmp_path, RAMP, PresentationLUTShape="INVERSE"), 255 - RAMP)
    both = {"PresentationLUTShape": "INVERSE", "PhotometricInterpretation": "MONOCHROME1"}
    assert np.array_equal(shown(tmp_path, RAMP, **both), 255 - RAMP)


def test_a_window_maps_hounsfield_units_once(tmp_path: Path):
    window = {"WindowCenter": 40.0, "WindowWidth": 400.0, "RescaleIntercept": -1024.0, "RescaleSlope": 1.0}
    found = shown(tmp_path, (HOUNSFIELD + 1024).astype(np.int16), **window)
    assert np.array_equal(found, half_up(((HOUNSFIELD - 39.5) / 399 + 0.5) * 255))
    assert found.min() > 80
    assert found.max() < 200


def test_the_first_of_several_windows_counts_also_for_eight_bits(tmp_path: Path):
    found = shown(tmp_path, RAMP, WindowCenter=[100, 20], WindowWidth=[51, 5])
    assert np.array_equal(found, half_up(((RAMP - 99.5) / 50 + 0.5) * 255))


def test_the_exact_and_the_sigmoid_window(tmp_path: Path):
    exact = shown(tmp_path, DEEP, WindowCenter=2000, WindowWidth=1000, VOILUTFunction="LINEAR_EXACT")
    assert np.array_equal(exact, half_up((DEEP.astype(float) - 1500) * 255 / 1000))
    sigmoid = shown(tmp_path, DEEP, WindowCenter=2000, WindowWidth=1000, VOILUTFunction="SIGMOID")
    assert np.array_equal(sigmoid, half_up(255 / (1 + np.exp(-4 * (DEEP - 2000.0) / 1000))))


def test_a_window_of_one_is_a_step_and_one_of_half_is_none(tmp_path: Path):
    step = shown(tmp_path, RAMP, WindowCenter=100, WindowWidth=1)
    assert np.array_equal(step, np.where(RAMP > 99.5, 255, 0))
    assert np.array_equal(shown(tmp_path, RAMP, WindowCenter=100, WindowWidth=0.5), RAMP)


def test_a_lookup_table_of_values_of_interest_is_used(tmp_path: Path):
    table = item(LUTDescriptor=[128, 40, 16], LUTData=np.arange(0, 128 * 512, 512, dtype=np.uint16).tobytes())
    found = shown(tmp_path, RAMP, VOILUTSequence=[table])
    assert np.array_equal(found, half_up((RAMP.astype(float) - 40) * 512 * 255 / 65535))


def test_a_modality_table_gives_the_values_that_the_window_is_in(tmp_path: Path):
    table = item(LUTDescriptor=[256, 0, 16], LUTData=(np.arange(256) * 10).astype(np.uint16).tobytes())
    tags = {"ModalityLUTSequence": [table], "WindowCenter": 1000, "WindowWidth": 1001}
    assert np.array_equal(shown(tmp_path, RAMP, **tags), half_up(((RAMP * 10.0 - 999.5) / 1000 + 0.5) * 255))


def test_enhanced_objects_have_slope_and_window_in_their_functional_groups(tmp_path: Path):
    frames = np.stack([DEEP, DEEP // 2])
    own = [
        item(FrameVOILUTSequence=[item(WindowCenter=centre, WindowWidth=1001.0)], FrameContentSequence=[item()])
        for centre in (1000.0, 500.0)
    ]
    shared = item(PixelValueTransformationSequence=[item(RescaleSlope=2.0, RescaleIntercept=-100.0)])
    path = write_dicom(
        tmp_path / "enhanced.dcm",
        frames,
        NumberOfFrames=2,
        PerFrameFunctionalGroupsSequence=own,
        SharedFunctionalGroupsSequence=[shared],
    )
    for index, centre in enumerate((1000.0, 500.0)):
        units = frames[index] * 2.0 - 100
        expected = half_up(((units - (centre - 0.5)) / 1000 + 0.5) * 255)
        assert np.array_equal(read_image(path, index)[..., 0], expected), index


def test_palettes_show_their_colours(tmp_path: Path):
    indices = (np.arange(64)[None] // 16).repeat(64, axis=0).astype(np.uint8)
    tags: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for name, entries in (("Red", [0, 200, 30, 255]), ("Green", [0, 30, 200, 255]), ("Blue", [0, 30, 30, 255])):
        tags[f"{name}PaletteColorLookupTableDescriptor"] = [4, 0, 16]
        tags[f"{name}PaletteColorLookupTableData"] = (np.array(entries, np.uint16) * 257).tobytes()
    expected = apply_color_lut(indices, dicom(indices, **tags)) / 257
    assert np.array_equal(read_image(write_dicom(tmp_path / "x.dcm", indices, **tags)), expected)
    assert len(np.unique(expected.reshape(-1, 3), axis=0)) == 4


def test_a_palette_without_its_tables_is_no_grey_picture(tmp_path: Path):
    with pytest.raises(ImageError, match="without a palette"):
        shown(tmp_path, RAMP, PhotometricInterpretation="PALETTE COLOR")


def test_colours_stay_and_deep_ones_are_brought_down_together(tmp_path: Path):
    colours = np.dstack([RAMP, RAMP[:, ::-1], RAMP.T])
    assert np.array_equal(read_image(write_dicom(tmp_path / "x.dcm", colours)), colours)
    deep = colours.astype(np.uint16) * 16 - 640
    path = write_dicom(tmp_path / "deep.dcm", deep, BitsStored=12, HighBit=11)
    assert np.array_equal(read_image(path), half_up(deep * 255.0 / deep.max()))


def test_deep_values_without_a_window_follow_the_networks_rule(tmp_path: Path):
    path = write_dicom(tmp_path / "x.dcm", DEEP, RescaleSlope=1.0, RescaleIntercept=-1000.0)
    assert np.array_equal(read_image(path)[..., 0], half_up(DEEP * 255.0 / DEEP.max()))
    bone = read_image(path, intensity=Intensity("window", 0.0, 2000.0))[..., 0]
    assert np.array_equal(bone, half_up((DEEP - 1000.0) * 255 / 2000))


def test_a_networks_own_window_is_used_instead_of_the_files(tmp_path: Path):
    path = write_dicom(tmp_path / "x.dcm", DEEP, WindowCenter=100.0, WindowWidth=10.0)
    found = read_image(path, intensity=Intensity("window", 0.0, 3780.0))[..., 0]
    assert np.array_equal(found, half_up(DEEP * 255.0 / 3780))


def test_a_rule_over_the_volume_looks_at_all_frames(tmp_path: Path):
    path = write_dicom(tmp_path / "x.dcm", np.stack([DEEP // 10, DEEP]), NumberOfFrames=2)
    assert read_image(path, 0).max() == 255
    assert read_image(path, 0, Intensity(over="volume")).max() == 26


def test_the_padding_around_a_round_field_of_view_does_not_set_the_range(tmp_path: Path):
    values = DEEP.astype(np.int16)
    values[:10] = -2000
    found = shown(tmp_path, values, PixelPaddingValue=-2000)
    assert found[:10].max() == 0
    assert np.array_equal(found[10:], half_up(DEEP[10:] * 255.0 / DEEP.max()))


def test_bits_beyond_those_stored_are_no_part_of_a_value(tmp_path: Path):
    overlaid = DEEP | (np.arange(64, dtype=np.uint16)[:, None] % 2 << 15)
    found = shown(tmp_path, overlaid.astype(np.uint16), BitsStored=12, HighBit=11)
    assert np.array_equal(found, half_up(DEEP * 255.0 / DEEP.max()))


def test_files_without_a_preamble_are_found_by_what_they_begin_with(tmp_path: Path):
    data = dicom(RAMP)
    del data.file_meta
    bare = tmp_path / "1.2.840.113.7"
    data.save_as(bare, implicit_vr=True, little_endian=True)
    assert bare.read_bytes()[:2] == b"\x08\x00"
    assert looks_like_dicom(bare)
    assert np.array_equal(read_image(bare)[..., 0], RAMP)


def test_an_object_without_pixels_says_what_it_is(tmp_path: Path):
    data = dicom(RAMP)
    del data.PixelData
    data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.481.3"
    data.save_as(tmp_path / "structures.dcm", enforce_file_format=True)
    with pytest.raises(ImageError, match=r"holds no picture.*RT Structure Set"):
        read_image(tmp_path / "structures.dcm")


def test_a_compression_whose_decoder_is_missing_names_the_package(tmp_path: Path):
    data = dicom(RAMP)
    data.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    from pydicom.encaps import encapsulate

    data.PixelData = encapsulate([b"\xff\xd8\xff\xd9"])
    data["PixelData"].VR = "OB"
    data.save_as(tmp_path / "lossless.dcm", enforce_file_format=True)
    with pytest.raises(ImageError, match=r"lossless JPEG.*pip install.*pylibjpeg"):
        read_image(tmp_path / "lossless.dcm")


def test_a_size_that_is_only_claimed_takes_no_memory(tmp_path: Path):
    path = write_dicom(tmp_path / "x.dcm", RAMP, Rows=65535, Columns=65535)
    with pytest.raises(ImageError, match=r"too large.*--max-pixels"):
        read_image(path)
    path = write_dicom(tmp_path / "y.dcm", RAMP, Rows=6400, Columns=6400)
    with pytest.raises(ImageError, match="cannot be read"):
        read_image(path)
