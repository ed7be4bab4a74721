"""Volumes are shown in the radiological convention, whatever order their files store."""

from __future__ import annotations

import gzip
from itertools import permutations, product
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from s2m_edge.errors import ConfigurationError, ImageError
from s2m_edge.imaging.intensity import Intensity
from s2m_edge.imaging.planes import find_plane
from s2m_edge.imaging.read import read_image
from s2m_edge.imaging.slices import slices_of
from s2m_edge.imaging.volume import labels_on_grid, open_volume, require_same_grid

# A body of 12 x 10 x 9 voxels with the axes left, back, head, in which every voxel differs.
BODY = np.arange(12 * 10 * 9, dtype=np.int16).reshape(12, 10, 9)
LPS = np.array([[-2.0, 0, 0, 20], [0, -3, 0, 30], [0, 0, 4, -10], [0, 0, 0, 1]])


def stored(path: Path, order: tuple[int, ...], back: tuple[bool, ...], body: np.ndarray = BODY) -> Path:
    """The body in a file whose axes have another order and direction, its affine telling so."""
    image = nibabel.Nifti1Image(body, LPS)
    sign = [[axis, -1 if reverse else 1] for axis, reverse in zip(order, back, strict=True)]
    nibabel.save(image.as_reoriented(sign), path)
    return path


def levels(values: np.ndarray) -> np.ndarray:
    low, high = float(values.min()), float(values.max())
    return np.floor((values - low) * 255.0 / (high - low) + 0.5).astype(np.uint8)


@pytest.mark.parametrize("order", permutations(range(3)))
def test_one_anatomy_gives_one_picture_in_every_orientation(tmp_path: Path, order: tuple[int, ...]):
    for back in product((False, True), repeat=3):
        path = stored(tmp_path / "x.nii", order, back)
        assert np.array_equal(read_image(path, 2)[..., 0], levels(BODY[:, :, 2].T)), back
        assert np.array_equal(read_image(path, 3, plane="coronal")[..., 0], levels(BODY[:, 3, ::-1].T)), back
        assert np.array_equal(read_image(path, 4, plane="sagittal")[..., 0], levels(BODY[4, :, ::-1].T)), back


def test_the_middle_slice_of_the_plane_is_taken(tmp_path: Path):
    path = stored(tmp_path / "x.nii.gz", (2, 0, 1), (True, False, True))
    assert slices_of(path) == (9, 4)
    assert slices_of(path, "coronal") == (10, 5)
    assert np.array_equal(read_image(path), read_image(path, 4))
    with pytest.raises(ImageError, match=r"no slice 9.*0\.\.8"):
        read_image(path, 9)


def test_stored_takes_the_last_axis_as_it_lies(tmp_path: Path):
    path = stored(tmp_path / "x.nii", (0, 1, 2), (True, False, False))
    assert np.array_equal(read_image(path, 2, plane="stored")[..., 0], levels(BODY[::-1, :, 2].T))
    with pytest.raises(ConfigurationError, match="axial, coronal"):
        find_plane("oblique")


def test_a_volume_of_one_slice_is_shown_along_its_axis(tmp_path: Path):
    path = stored(tmp_path / "x.nii", (0, 1, 2), (False, False, False), BODY[:, 3:4, :])
    assert np.array_equal(read_image(path)[..., 0], levels(BODY[:, 3, ::-1].T))


def test_a_series_asks_which_volume(tmp_path: Path):
    series = np.stack([BODY, BODY[::-1]], axis=3)
    nibabel.save(nibabel.Nifti1Image(series, LPS), tmp_path / "x.nii.gz")
    with pytest.raises(ImageError, match=r"series of 2 volumes.*--volume"):
        read_image(tmp_path / "x.nii.gz")
    assert np.array_equal(read_image(tmp_path / "x.nii.gz", 2, volume=1)[..., 0], levels(BODY[::-1, :, 2].T))
    nibabel.save(nibabel.Nifti1Image(BODY[..., None], LPS), tmp_path / "one.nii")
    assert np.array_equal(read_image(tmp_path / "one.nii", 2)[..., 0], levels(BODY[:, :, 2].T))


def test_colours_and_analyze_pairs_are_read(tmp_path: Path):
    colours = np.zeros(BODY.shape, dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    colours["R"], colours["G"], colours["B"] = BODY % 251, BODY % 13, 7
    nibabel.save(nibabel.Nifti1Image(colours, LPS), tmp_path / "rgb.nii")
    expected = np.dstack([(BODY % 251)[:, :, 2].T, (BODY % 13)[:, :, 2].T, np.full((10, 12), 7)])
    assert np.array_equal(read_image(tmp_path / "rgb.nii", 2), expected)
    nibabel.save(nibabel.Nifti1Pair(BODY, LPS), tmp_path / "pair.img")
    for name in ("pair.img", "pair.hdr"):
        assert np.array_equal(read_image(tmp_path / name, 2)[..., 0], levels(BODY[:, :, 2].T)), name


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int32, np.uint16, np.int8])
def test_any_real_type_is_read(tmp_path: Path, dtype: type):
    body = (BODY // 9).astype(dtype)
    nibabel.save(nibabel.Nifti1Image(body, LPS), tmp_path / "x.nii")
    assert np.array_equal(read_image(tmp_path / "x.nii", 2)[..., 0], levels(body[:, :, 2].T.astype(float)))


def test_complex_values_are_refused_as_what_they_are(tmp_path: Path):
    nibabel.save(nibabel.Nifti1Image(BODY.astype(np.complex64), LPS), tmp_path / "x.nii")
    with pytest.raises(ImageError, match="complex"):
        read_image(tmp_path / "x.nii")


def test_eight_bits_stay_and_the_rule_may_look_at_the_volume(tmp_path: Path):
    nibabel.save(nibabel.Nifti1Image((BODY % 100).astype(np.uint8), LPS), tmp_path / "eight.nii")
    assert np.array_equal(read_image(tmp_path / "eight.nii", 2)[..., 0], (BODY % 100)[:, :, 2].T)
    nibabel.save(nibabel.Nifti1Image(BODY, LPS), tmp_path / "deep.nii")
    found = read_image(tmp_path / "deep.nii", 2, Intensity(over="volume"))[..., 0]
    assert np.array_equal(found, np.floor(BODY[:, :, 2].T * 255.0 / BODY.max() + 0.5))


def test_a_header_that_claims_gigabytes_is_refused_before_they_are_made(tmp_path: Path):
    header = nibabel.Nifti1Header()
    header.set_data_shape((4000, 4000, 1200))
    header.set_data_dtype(np.float32)
    path = tmp_path / "x.nii.gz"
    path.write_bytes(gzip.compress(header.binaryblock + b"\0" * 1000))
    with pytest.raises(ImageError, match=r"too large.*4000 x 4000 x 1200.*--max-pixels"):
        read_image(path)


def test_masks_and_images_in_two_orientations_are_one_grid_and_others_are_not(tmp_path: Path):
    image = open_volume(stored(tmp_path / "image.nii", (0, 1, 2), (False, False, False)))
    turned = open_volume(stored(tmp_path / "turned.nii", (2, 1, 0), (True, True, False)))
    require_same_grid(image, turned)
    moved = LPS.copy()
    moved[2, 3] += 4
    nibabel.save(nibabel.Nifti1Image(BODY, moved), tmp_path / "moved.nii")
    with pytest.raises(ImageError, match=r"not one grid \(up to 4.0 mm apart\)"):
        require_same_grid(image, open_volume(tmp_path / "moved.nii"))
    nibabel.save(nibabel.Nifti1Image(BODY[:, :, :8], LPS), tmp_path / "shorter.nii")
    with pytest.raises(ImageError, match="not one grid"):
        require_same_grid(image, open_volume(tmp_path / "shorter.nii"))


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_labels_go_back_to_the_files_own_order(tmp_path: Path, order: tuple[int, ...]):
    path = stored(tmp_path / "x.nii", order, (True, False, True))
    volume = open_volume(path)
    shown = np.stack([volume.slice(index) for index in range(volume.slices)])
    (tmp_path / "labels.nii").write_bytes(labels_on_grid(volume, volume.stored((shown % 200).astype(np.uint8))))
    written: Any = nibabel.load(tmp_path / "labels.nii")
    source: Any = nibabel.load(path)
    assert np.array_equal(np.asarray(written.dataobj), np.asarray(source.dataobj) % 200)
    assert np.array_equal(written.affine, source.affine)
    assert written.header["sform_code"] == source.header["sform_code"]
