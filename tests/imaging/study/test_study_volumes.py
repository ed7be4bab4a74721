"""Studies of NIfTI, NRRD, MetaImage and pages: the same slices from the same data, read one at a time."""

from __future__ import annotations

import builtins
import gzip
from itertools import permutations
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK
from PIL import Image

from s2m_edge.errors import ImageError, MissingBackendError
from s2m_edge.imaging.intensity import Intensity
from s2m_edge.imaging.read import read_image
from s2m_edge.imaging.study import Study, find_studies
from s2m_edge.imaging.volume import open_volume

BODY = (np.arange(12 * 10 * 9) * 7 % 1000).astype(np.int16).reshape(12, 10, 9)
AFFINE = np.array([[-2.0, 0, 0, 20], [0, -3, 0, 30], [0, 0, 4, -10], [0, 0, 0, 1]])


def nifti(path: Path, body: np.ndarray = BODY, affine: np.ndarray = AFFINE) -> Path:
    nibabel.save(nibabel.Nifti1Image(body, affine), path)
    return path


def only(place: Path, **options: Any) -> Study:
    (source,) = find_studies(place)
    return source.open(**options)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha", ".mhd", ".nhdr"])
@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_nrrd_and_metaimage_show_what_nifti_of_the_same_data_shows(tmp_path: Path, suffix: str, order: tuple[int, ...]):
    image = nibabel.Nifti1Image(BODY, AFFINE).as_reoriented([[axis, 1 if axis else -1] for axis in order])
    nibabel.save(image, tmp_path / "x.nii")
    SimpleITK.WriteImage(SimpleITK.ReadImage(str(tmp_path / "x.nii")), str(tmp_path / f"x{suffix}"))
    for plane in ("axial", "coronal", "sagittal"):
        expected, found = only(tmp_path / "x.nii", plane=plane), only(tmp_path / f"x{suffix}", plane=plane)
        assert found.kind == ("NRRD" if suffix in (".nrrd", ".nhdr") else "MetaImage")
        assert found.slices == expected.slices
        for index in range(found.slices):
            assert np.array_equal(found.slice(index), expected.slice(index))
            assert np.array_equal(found.slice(index), read_image(found.path, index, plane=plane))  # type: ignore[arg-type]
            assert np.array_equal(found.slice(index), read_image(tmp_path / "x.nii", index, plane=plane))  # type: ignore[arg-type]
        for name in ("spacing", "directions", "positions", "thickness"):
            assert np.allclose(getattr(found.grid, name), getattr(expected.grid, name), atol=1e-5), name
        labels = np.arange(found.slices * 120, dtype=np.uint8)[: found.slices, None, None] + np.zeros(
            (found.slices, found.grid.rows, found.grid.columns), np.uint8
        )
        assert np.array_equal(found.labels_in_file_order(labels), expected.labels_in_file_order(labels))
        assert np.allclose(found.volume.affine, expected.volume.affine, atol=1e-5)


def test_a_grid_leads_back_to_the_voxels_of_the_file(tmp_path: Path):
    study = only(nifti(tmp_path / "x.nii"))
    affine = study.grid.affine()
    assert affine is not None
    for slice_index, row, column in ((0, 0, 0), (8, 9, 11), (3, 4, 5)):
        value = study.volume.slice(slice_index)[row, column]
        there = np.linalg.inv(AFFINE) @ affine @ [column, row, slice_index, 1]
        assert BODY[tuple(np.rint(there[:3]).astype(int))] == value


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_compressed_volumes_give_the_same_slices_in_every_plane(tmp_path: Path, dtype: str):
    image = nibabel.Nifti1Image(BODY.astype(dtype), AFFINE)
    image.header.set_slope_inter(2.5, -7)
    nibabel.save(image, tmp_path / "x.nii")
    (tmp_path / "y.nii.gz").write_bytes(gzip.compress((tmp_path / "x.nii").read_bytes()))
    for plane in ("axial", "coronal", "sagittal", "stored"):
        plain, packed = only(tmp_path / "x.nii", plane=plane), only(tmp_path / "y.nii.gz", plane=plane)
        for index in range(plain.slices):
            due = read_image(tmp_path / "x.nii", index, plane=plane)  # type: ignore[arg-type]
            assert np.array_equal(plain.slice(index), due)
            assert np.array_equal(packed.slice(index), due)


@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz"])
def test_a_volume_that_is_cut_off_is_named(tmp_path: Path, name: str):
    path = nifti(tmp_path / name, np.random.default_rng(0).integers(0, 999, (40, 40, 40), dtype=np.int16))
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(ImageError, match=rf"{name} (is cut off|cannot be read)"):
        only(path).slice(39)


def test_a_rule_over_the_volume_is_the_same_slice_by_slice(tmp_path: Path):
    rule = Intensity("percentiles", 3, 98, over="volume")
    path = nifti(tmp_path / "x.nii.gz", np.random.default_rng(1).normal(size=(20, 18, 9)).astype(np.float32))
    study = only(path)
    for index in (0, 4, 8):
        assert np.array_equal(study.slice(index, rule), read_image(path, index, rule))


def test_microns_are_millimetres_in_the_grid(tmp_path: Path):
    image = nibabel.Nifti1Image(BODY, np.diag([500.0, 400.0, 300.0, 1.0]))
    image.header.set_xyzt_units("micron")
    nibabel.save(image, tmp_path / "x.nii")
    grid = only(tmp_path / "x.nii").grid
    assert grid.spacing == pytest.approx((0.4, 0.5))
    assert grid.extents == pytest.approx(np.full(9, 0.3))


def test_a_file_that_does_not_say_how_it_lies_is_said(tmp_path: Path):
    image = nibabel.Nifti1Image(BODY, None)
    image.header.set_zooms((2, 3, 4))
    nibabel.save(image, tmp_path / "x.nii")
    study = only(tmp_path / "x.nii")
    assert "does not say how it lies" in study.remarks[0]
    assert study.grid.extents == pytest.approx(np.full(9, 4))


def test_a_series_of_volumes_wants_a_number(tmp_path: Path):
    four = np.stack([BODY, BODY + 5], axis=-1)
    nifti(tmp_path / "x.nii.gz", four)
    SimpleITK.WriteImage(SimpleITK.ReadImage(str(tmp_path / "x.nii.gz")), str(tmp_path / "y.nrrd"))
    vector = SimpleITK.Compose([SimpleITK.GetImageFromArray(four[..., k].T.copy()) for k in range(2)])
    SimpleITK.WriteImage(vector, str(tmp_path / "z.mha"))
    for name in ("x.nii.gz", "y.nrrd", "z.mha"):
        with pytest.raises(ImageError, match="--volume"):
            only(tmp_path / name)
        with pytest.raises(ImageError, match="has no volume 2"):
            only(tmp_path / name, volume=2)
        values = only(tmp_path / name, volume=1, plane="stored").volume.whole()
        assert np.array_equal(np.asarray(values).T, BODY + 5), name
        identities = {only(tmp_path / name, volume=number, plane=plane).identity for number, plane in VOLUMES}
        assert len(identities) == 2, "results of one volume are never taken for those of the other"


VOLUMES = ((0, "axial"), (0, "coronal"), (1, "axial"), (1, "coronal"))


def test_colours_of_a_metaimage_stay_as_they_are(tmp_path: Path):
    colours = np.random.default_rng(0).integers(0, 256, (9, 12, 10, 3), dtype=np.uint8)
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(colours, isVector=True), str(tmp_path / "x.mha"))
    study = only(tmp_path / "x.mha")
    assert np.array_equal(np.stack([study.slice(index) for index in range(9)]), colours)


def test_a_missing_simpleitk_is_one_line_that_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(BODY), str(tmp_path / "x.mha"))
    honest = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "SimpleITK":
            raise ImportError(name)
        return honest(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingBackendError, match=r"pip install .*\[dicom\]"):
        only(tmp_path / "x.mha")


@pytest.mark.parametrize("name", ["x.nrrd", "x.mha", "x.nii", "x.nii.gz", "x.tif"])
def test_a_file_that_is_none_is_one_line_with_its_name(tmp_path: Path, name: str):
    (tmp_path / name).write_bytes(b"nothing of the kind" * 30)
    with pytest.raises(ImageError, match=name) as caught:
        only(tmp_path)
    assert "\n" not in str(caught.value)


def test_pages_of_a_tiff_are_slices_and_a_picture_is_one(tmp_path: Path):
    pages = [Image.new("L", (30, 20), value) for value in (10, 90, 200)]
    pages[0].save(tmp_path / "stack.tif", save_all=True, append_images=pages[1:])
    pages[1].save(tmp_path / "one.png")
    studies = {source.name: source.open() for source in find_studies(tmp_path)}
    assert {name: study.slices for name, study in studies.items()} == {"one": 1, "stack": 3}
    assert [int(studies["stack"].slice(index).max()) for index in range(3)] == [10, 90, 200]
    assert (studies["stack"].grid.spacing, studies["stack"].grid.extents) == (None, None)


def test_a_volume_is_told_from_another_by_its_bytes(tmp_path: Path):
    first, second = only(nifti(tmp_path / "a.nii")), only(nifti(tmp_path / "b.nii", BODY + 1))
    assert first.identity != second.identity
    assert first.identity == only(tmp_path / "a.nii").identity


def test_slices_of_an_unpacked_volume_are_not_held_together(tmp_path: Path):
    import tracemalloc

    body = np.random.default_rng(0).integers(0, 4000, (256, 256, 200), dtype=np.int16)  # 26 MB
    study = only(nifti(tmp_path / "x.nii.gz", body), plane="coronal")
    tracemalloc.start()
    for index in range(0, study.slices, 16):
        study.slice(index)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 * 256 * 200 * 8, "a few slices in double precision"


def test_a_stored_plane_and_the_volume_agree(tmp_path: Path):
    path = nifti(tmp_path / "x.nii")
    study = only(path, plane="stored")
    assert np.array_equal(study.volume.whole(), open_volume(path, "stored").whole())
