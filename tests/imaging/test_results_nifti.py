"""Labels as NIfTI: every voxel where DICOM has it, a NIfTI source's own grid kept, the same bytes again."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from phantoms import GRIDS, HEART, NETWORK, VOLUME_ML, Phantom, ellipsoid, places, stack
from s2m_edge.errors import ImageError
from s2m_edge.imaging.grid import Grid
from s2m_edge.imaging.results.figures import measure
from s2m_edge.imaging.results.nifti import nifti_bytes
from s2m_edge.imaging.results.subject import Subject
from s2m_edge.imaging.volume import open_volume
from s2m_edge.imaging.written import is_of

EVEN = [name for name in GRIDS if name != "missing slice"]


def subject_of(study: Any, labels: np.ndarray) -> Subject:
    return Subject(study, labels, HEART, NETWORK)


def read(content: bytes, path: Path) -> Any:
    path.write_bytes(content)
    return nibabel.load(path)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", EVEN)
def test_every_voxel_lies_where_dicom_has_it(name: str, tmp_path: Path):
    grid, labels = GRIDS[name], ellipsoid(GRIDS[name])
    image = read(nifti_bytes(subject_of(Phantom(grid), labels)), tmp_path / "mask.nii.gz")
    assert image.get_data_dtype() == np.uint8
    assert (int(image.header["sform_code"]), image.header.get_xyzt_units()[0]) == (1, "mm")
    stored = np.asarray(image.dataobj)
    voxels = np.stack(np.meshgrid(*map(np.arange, stored.shape), indexing="ij"), axis=-1)
    found = voxels @ image.affine[:3, :3].T + image.affine[:3, 3]
    told = places(grid).transpose(2, 1, 0, 3) * [-1, -1, 1]  # left and back of DICOM are NIfTI's right and front
    assert np.abs(found - told).max() < 1e-3
    assert np.array_equal(stored.transpose(2, 1, 0), labels)


@pytest.mark.parametrize("name", EVEN)
def test_the_volume_of_the_mask_is_that_of_the_ellipsoid(name: str, tmp_path: Path):
    """By nibabel's affine alone."""
    labels = ellipsoid(GRIDS[name])
    image = read(nifti_bytes(subject_of(Phantom(GRIDS[name]), labels)), tmp_path / "mask.nii.gz")
    voxel = abs(np.linalg.det(image.affine[:3, :3])) / 1000
    found = (np.asarray(image.dataobj) == 1).sum() * voxel
    assert found == pytest.approx(VOLUME_ML, rel=0.02)
    assert measure(labels, GRIDS[name], HEART)[0].volume_ml == pytest.approx(found, rel=1e-6)


def test_a_sheared_grid_is_the_sforms_alone(tmp_path: Path):
    """A qform has axes at right angles."""
    tilted = read(
        nifti_bytes(subject_of(Phantom(GRIDS["tilted gantry"]), ellipsoid(GRIDS["tilted gantry"]))),
        tmp_path / "tilted.nii.gz",
    )
    straight = read(
        nifti_bytes(subject_of(Phantom(GRIDS["oblique"]), ellipsoid(GRIDS["oblique"]))), tmp_path / "straight.nii.gz"
    )
    assert (int(tilted.header["sform_code"]), int(tilted.header["qform_code"])) == (1, 0)
    assert (int(straight.header["sform_code"]), int(straight.header["qform_code"])) == (1, 1)
    assert straight.get_qform() == pytest.approx(straight.get_sform(), abs=1e-4)


def test_slices_that_are_not_evenly_spaced_are_refused_with_the_remedy():
    grid = GRIDS["missing slice"]
    with pytest.raises(ImageError, match=r"phantom are not evenly spaced \(slice \d+ lies .* mm .*dicom-seg"):
        nifti_bytes(subject_of(Phantom(grid), ellipsoid(grid)))


def test_positions_that_were_rounded_are_even():
    grid = stack()
    assert grid.positions is not None
    rounded = Grid(24, 44, 60, grid.spacing, grid.directions, np.round(grid.positions + 0.003, 2), 2.0)
    assert nifti_bytes(subject_of(Phantom(rounded), ellipsoid(rounded)))


@pytest.mark.parametrize(("spacing", "zooms"), [(None, (1, 1, 1)), ((0.5, 0.25), (0.25, 0.5, 1))])
def test_a_grid_that_lies_nowhere_says_so(spacing: Any, zooms: tuple[float, ...], tmp_path: Path):
    labels = np.zeros((3, 4, 5), np.uint8)
    labels[1, 2, 3] = 1
    image = read(nifti_bytes(subject_of(Phantom(Grid(3, 4, 5, spacing)), labels)), tmp_path / "mask.nii.gz")
    assert (int(image.header["sform_code"]), int(image.header["qform_code"])) == (0, 0)
    assert image.header.get_zooms() == pytest.approx(zooms)
    assert np.argwhere(np.asarray(image.dataobj)).tolist() == [[3, 2, 1]]
    assert not open_volume(tmp_path / "mask.nii.gz").oriented


@pytest.mark.parametrize("axes", ["LAS", "RAS", "LPI", "PIR", "SRA"])
def test_a_nifti_source_gets_its_own_grid_back(axes: str, tmp_path: Path):
    """Axes, their order, codes and affine are the file's, whichever way it was shown."""
    turn = nibabel.orientations.inv_ornt_aff(nibabel.orientations.axcodes2ornt(tuple(axes)), (6, 5, 4))  # type: ignore[attr-defined]
    affine = np.array([[1.1, 0.1, 0, -9], [0, 1.2, 0.2, 8], [0, 0, 2.5, 7], [0, 0, 0, 1.0]]) @ turn
    image = nibabel.Nifti1Image(np.arange(120, dtype=np.int16).reshape(6, 5, 4), affine)  # type: ignore[attr-defined]
    image.set_sform(affine, 4)
    image.set_qform(affine, 2)
    nibabel.save(image, tmp_path / "brain.nii")  # type: ignore[attr-defined]
    volume = open_volume(tmp_path / "brain.nii")
    shown = volume.whole()
    labels = (shown % 3).astype(np.uint8)
    study = Phantom(Grid(*shown.shape), volume=volume, kind="NIfTI")
    mask = read(nifti_bytes(subject_of(study, labels)), tmp_path / "mask.nii.gz")
    assert np.array_equal(np.asarray(mask.dataobj), np.asarray(image.dataobj) % 3)
    assert mask.affine == pytest.approx(image.affine, abs=1e-5)
    assert (int(mask.header["sform_code"]), int(mask.header["qform_code"])) == (4, 2)


def test_the_same_labels_give_the_same_bytes_and_say_whose_they_are(tmp_path: Path):
    subject = subject_of(Phantom(GRIDS["LPS"]), ellipsoid(GRIDS["LPS"]))
    content = nifti_bytes(subject)
    assert content == nifti_bytes(subject)
    assert content[4:8] == bytes(4)  # no time
    assert len(gzip.decompress(content)) == 352 + subject.labels.size
    path = tmp_path / "mask.nii.gz"
    path.write_bytes(content)
    assert is_of(path, subject.source)
    assert not is_of(path, subject_of(Phantom(GRIDS["LPS"], identity="00"), subject.labels).source)
    assert not is_of(path, subject_of(Phantom(GRIDS["LPS"], plane="coronal"), subject.labels).source)
    assert not is_of(path, subject_of(Phantom(GRIDS["LPS"], chosen=range(30, 54)), subject.labels).source)
