"""Image folders are read in both layouts, with masks of every kind of file."""

from __future__ import annotations

import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from s2m_edge.errors import ImageError
from s2m_edge.imaging.read import read_image
from s2m_edge.imaging.slices import count_slices
from s2m_edge.train.data.folders import list_samples, read_binary_mask, read_labels
from s2m_edge.train.data.layouts import load_dataset
from s2m_edge.train.data.volumes import read_label_file, read_picture


def as_sub_folders(folder: Path, images: str = "images", masks: str = "masks", val: str = "val") -> Path:
    """The same pictures as train/, val/ and test/."""
    root = folder.parent / "parts"
    for split in ("train", "val", "test"):
        for sample in list_samples(folder, split):
            for file, name in ((sample.image, images), (sample.mask, masks)):
                place = root / (val if split == "val" else split) / name
                place.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, place)
    return root


@pytest.mark.parametrize("names", [("images", "masks", "val"), ("image", "label", "validation")])
def test_sub_folders_hold_what_the_table_says(folder: Path, names):
    root = as_sub_folders(folder, *names)
    for split in ("train", "val", "test"):
        stems = sorted(sample.stem for sample in list_samples(folder, split))
        assert [sample.stem for sample in list_samples(root, split)] == stems
    assert {split: len(found) for split, found in load_dataset(root).items()} == {"train": 2, "val": 1, "test": 1}


def test_a_sub_folder_that_lacks_a_mask_or_a_split_is_refused(folder: Path):
    root = as_sub_folders(folder)
    next((root / "train" / "masks").iterdir()).unlink()
    with pytest.raises(ImageError, match=r"train/ of .* which has no mask"):
        list_samples(root, "train")
    shutil.rmtree(root / "val")
    with pytest.raises(ImageError, match="no folder with images of the split 'val'"):
        list_samples(root, "val")


def test_the_table_may_name_cases_and_must_have_its_columns(folder: Path):
    table = folder / "split.csv"
    rows = [f"{line},p{i}" for i, line in enumerate(table.read_text().split()[1:])]
    table.write_text("\n".join(["stem,split,case", *rows]))
    assert [sample.case for sample in list_samples(folder, "train")] == ["p0", "p1"]
    table.write_text("name,part\na,train\n")
    with pytest.raises(ImageError, match="lacks the columns stem and split"):
        list_samples(folder, "train")


def write_volume(path: Path, planes: np.ndarray) -> Path:
    """Planes slices x H x W as NIfTI."""
    nibabel.Nifti1Image(planes.transpose(2, 1, 0), np.diag([-1.0, -1.0, 1.0, 1.0])).to_filename(path)
    return path


def test_masks_may_be_nifti(tmp_path: Path):
    planes = np.zeros((3, 20, 30), np.int16)
    planes[1, 4:9, 10:28] = 2
    path = write_volume(tmp_path / "mask.nii.gz", planes)
    np.testing.assert_array_equal(read_labels(path, 3), planes[1])  # the middle slice, upright
    np.testing.assert_array_equal(read_label_file(path, 0), planes[0])
    with pytest.raises(ImageError, match="holds the label 2, and the classes are 0 to 1"):
        read_labels(path, 2)
    write_volume(path, planes // 2)
    assert read_binary_mask(path).max() == 1  # a changed file is read again


def test_masks_may_be_dicom(tmp_path: Path):
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    mask = np.zeros((20, 30), np.uint8)
    mask[3:8, 5:25] = 1
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    data.Rows, data.Columns, data.SamplesPerPixel, data.PhotometricInterpretation = 20, 30, 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 8
    data.HighBit, data.PixelRepresentation, data.PixelData = 7, 0, mask.tobytes()
    data.save_as(tmp_path / "mask.dcm", enforce_file_format=True)
    np.testing.assert_array_equal(read_binary_mask(tmp_path / "mask.dcm"), mask)


def test_a_slice_is_read_as_prediction_reads_it(tmp_path: Path):
    planes = np.random.default_rng(0).normal(size=(5, 24, 32)).astype(np.float32)
    path = write_volume(tmp_path / "scan.nii", planes)
    assert count_slices(path) == 5
    for index in (0, 3, None):
        np.testing.assert_array_equal(read_picture(path, index), read_image(path, index))


@pytest.mark.parametrize("name", ["mask.nii.gz", "mask.nii", "mask.dcm", "mask.png", "mask.ppm.gz"])
def test_a_file_of_garbage_is_named_in_one_line(tmp_path: Path, name: str):
    (tmp_path / name).write_bytes(b"this is no image")
    with pytest.raises(ImageError, match=name) as caught:
        read_binary_mask(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_labels_must_be_whole_numbers(tmp_path: Path):
    path = write_volume(tmp_path / "mask.nii", np.full((1, 9, 9), 0.5, np.float32))
    with pytest.raises(ImageError, match="values that are no labels"):
        read_binary_mask(path)


def test_a_mask_of_16_bit_is_no_surprise(tmp_path: Path):
    mask = np.zeros((20, 30), np.uint16)
    mask[5:10, 5:10] = 1
    Image.fromarray(mask).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_binary_mask(tmp_path / "mask.png"), mask)


def test_labels_of_several_classes_are_no_mask_of_one(tmp_path: Path):
    """Read as one, they would pass for an empty mask."""
    Image.fromarray(np.array([[0, 1], [2, 3]], np.uint8).repeat(20, 0).repeat(20, 1)).save(tmp_path / "mask.png")
    with pytest.raises(ImageError, match="holds labels up to 3, and one class is expected"):
        read_labels(tmp_path / "mask.png", 1)
    assert read_labels(tmp_path / "mask.png", 4).max() == 3


@pytest.mark.parametrize("told", [True, False], ids=["turned by its own affine", "of no affine, so as its image"])
def test_a_volumes_mask_lies_on_its_image_whatever_order_it_is_stored_in(tmp_path: Path, told: bool):
    body = np.zeros((30, 20, 9), np.int16)
    body[3:12, 4:9, 4] = 1
    affine = np.diag([-1.0, -1.0, 2.0, 1.0])
    image = tmp_path / "image.nii.gz"
    turned = nibabel.Nifti1Image(body * 100, affine).as_reoriented([[1, 1], [0, -1], [2, 1]])
    turned.to_filename(image)
    if told:
        mask = nibabel.Nifti1Image(body.astype(np.uint8), affine)
    else:
        mask = nibabel.Nifti1Image(np.asarray(turned.dataobj) // 100, np.eye(4))
        mask.header["sform_code"] = mask.header["qform_code"] = 0
        mask.set_sform(None, 0)
        mask.set_qform(None, 0)
    mask.to_filename(tmp_path / "mask.nii")
    expected = read_picture(image, 4)[..., 0] > 0
    assert expected.sum() == 45
    assert np.array_equal(read_label_file(tmp_path / "mask.nii", 4, image=image) > 0, expected)
