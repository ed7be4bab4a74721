"""Every published layout is found, paired rightly and split by whole cases. Each test writes a tiny one."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from s2m_edge.errors import ConfigurationError, ImageError
from s2m_edge.train.data.layouts import load_dataset, scan_dataset
from s2m_edge.train.data.presets import PRESETS, dataset_title, find_preset, preset_names
from s2m_edge.train.data.reading import read_field_of_view, read_sample_image, read_sample_labels
from s2m_edge.train.data.sample import SPLITS, Sample

SIZE = (40, 48)


def truth(number: int) -> np.ndarray:
    """A rectangle of its own place for every number: a mask that belongs to another image would show."""
    mask = np.zeros(SIZE, bool)
    top, left = 3 + number * 5 % 23, 2 + number * 7 % 29
    mask[top : top + 12, left : left + 14] = True
    return mask


def halves(number: int) -> tuple[np.ndarray, np.ndarray]:
    """The rectangle's left and right half."""
    mask = truth(number)
    left = mask.copy()
    left[:, np.flatnonzero(mask.any(axis=0))[7] :] = False
    return left, mask & ~left


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".gz":
        plain = path.with_suffix("")
        Image.fromarray(pixels).save(plain)
        path.write_bytes(gzip.compress(plain.read_bytes()))
        plain.unlink()
    else:
        Image.fromarray(pixels).save(path, quality=95)  # JPEG's; the others ignore it


def save_image(path: Path, number: int) -> None:
    save(path, np.repeat(np.where(truth(number), 230, 40).astype(np.uint8)[..., None], 3, axis=2))


def save_mask(path: Path, number: int, value: int = 255) -> None:
    save(path, truth(number).astype(np.uint8) * value)


def save_volume(path: Path, planes: list[np.ndarray]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.Nifti1Image(
        np.stack(planes).transpose(2, 1, 0).astype(np.int16), np.diag([-1.0, -1.0, 1.0, 1.0])
    ).to_filename(path)


def pairs(image: str, mask: str, numbers: range = range(1, 11)) -> Callable[[Path], int]:
    def write(root: Path) -> int:
        for n in numbers:
            save_image(root / image.format(n=n), n)
            save_mask(root / mask.format(n=n), n)
        return len(numbers)

    return write


def clinicdb(root: Path) -> int:
    rows = ["frame_id,sequence_id,frame_number"]
    for n in range(1, 21):
        for kind in ("PNG", "TIF"):
            save_image(root / kind / "Original" / f"{n}.{kind.lower()}", n)
            save_mask(root / kind / "Ground Truth" / f"{n}.{kind.lower()}", n)
        rows.append(f"{n},{(n - 1) // 4},{n}")
    (root / "metadata.csv").write_text("\n".join(rows))
    return 20


def isic(root: Path) -> int:
    for n, part in enumerate(("Training", "Training", "Validation", "Test")):
        save_image(root / f"ISIC2018_Task1-2_{part}_Input" / f"ISIC_000000{n}.jpg", n)
        save_mask(root / f"ISIC2018_Task1_{part}_GroundTruth" / f"ISIC_000000{n}_segmentation.png", n)
    return 4


def glas(root: Path) -> int:
    rows = ["name,patient ID, grade (GlaS), grade (Sirinukunwattana et al. 2015)"]
    folder = root / "Warwick QU Dataset (Released 2016_07_08)"
    for n, name in enumerate([*(f"train_{i}" for i in range(1, 9)), "testA_1", "testB_1"]):
        save_image(folder / f"{name}.bmp", n)
        left, right = halves(n)
        save(folder / f"{name}_anno.bmp", left.astype(np.uint8) + right.astype(np.uint8) * 7)
        rows.append(f"{name},{n // 2}, benign, adenomatous")
    (folder / "Grade.csv").write_text("\n".join(rows))
    return 10


def busi(root: Path) -> int:
    for n, kind in enumerate(("benign", "benign", "malignant", "malignant")):
        stem = root / "Dataset_BUSI_with_GT" / kind / f"{kind} ({n})"
        save_image(Path(f"{stem}.png"), n)
        left, right = halves(n)
        save(Path(f"{stem}_mask.png"), left.astype(np.uint8) * 255)
        save(Path(f"{stem}_mask_1.png"), right.astype(np.uint8) * 255)
    stem = root / "Dataset_BUSI_with_GT/normal/normal (1)"
    save(Path(f"{stem}.png"), np.full((*SIZE, 3), 40, np.uint8))
    save(Path(f"{stem}_mask.png"), np.zeros(SIZE, np.uint8))
    return 5


def endovis(root: Path) -> int:
    for n in range(1, 7):
        folder = root / "train" / f"instrument_dataset_{n}"
        save_image(folder / "left_frames/frame000.png", n)
        left, right = halves(n)
        save(folder / "ground_truth/Left_Prograsp_Forceps_labels/frame000.png", left.astype(np.uint8) * 10)
        save(folder / "ground_truth/Maryland_Bipolar_Forceps_labels/frame000.png", right.astype(np.uint8) * 30)
        save(folder / "ground_truth/Other_labels/frame000.png", np.full(SIZE, 40, np.uint8))
    save_image(root / "test/instrument_dataset_1/left_frames/frame225.png", 1)  # published without truth
    return 6


def brats(root: Path) -> int:
    for n in range(1, 5):
        folder = root / "MICCAI_BraTS2020_TrainingData" / f"BraTS20_Training_00{n}"
        save_volume(folder / f"{folder.name}_flair.nii", [truth(n + s) * 300 + 20 for s in range(3)])
        save_volume(folder / f"{folder.name}_t1.nii", [np.ones(SIZE)] * 3)
        name = "W39_1998.09.19_Segm.nii" if n == 4 else f"{folder.name}_seg.nii"
        save_volume(folder / name, [left * 1 + right * 4 for left, right in (halves(n + s) for s in range(3))])
    return 12


def acdc(root: Path) -> int:
    for n, part in enumerate(("training", "training", "training", "testing"), start=1):
        folder = root / part / f"patient00{n}"
        for frame in ("01", "12"):
            stem = folder / f"patient00{n}_frame{frame}"
            save_volume(Path(f"{stem}.nii.gz"), [truth(n + s) * 300 + 20 for s in range(2)])
            save_volume(
                Path(f"{stem}_gt.nii.gz"), [left * 1 + right * 3 for left, right in (halves(n + s) for s in range(2))]
            )
        save_volume(folder / f"patient00{n}_4d.nii.gz", [np.ones(SIZE)])
    return 16


def drive(root: Path) -> int:
    for n, part in ((21, "training"), (22, "training"), (23, "training"), (1, "test")):
        save_image(root / part / "images" / f"{n:02d}_{part}.tif", n)
        save_mask(root / part / "1st_manual" / f"{n:02d}_manual1.gif", n)
        save(root / part / "mask" / f"{n:02d}_{part}_mask.gif", np.full(SIZE, 255, np.uint8))
    return 4


def chase(root: Path) -> int:
    for n in range(1, 15):
        for side, number in (("L", n), ("R", n + 14)):
            save_image(root / f"Image_{n:02d}{side}.jpg", number)
            save_mask(root / f"Image_{n:02d}{side}_1stHO.png", number)
            save_mask(root / f"Image_{n:02d}{side}_2ndHO.png", number + 1)
    return 28


WRITERS: dict[str, Callable[[Path], int]] = {
    "kvasir_seg": pairs("Kvasir-SEG/images/cju{n}.jpg", "Kvasir-SEG/masks/cju{n}.jpg"),
    "cvc_clinicdb": clinicdb,
    "cvc_colondb": pairs("images/{n}.png", "masks/{n}.png"),
    "etis": pairs("ETIS-LaribPolypDB/ETIS-LaribPolypDB/{n}.tif", "ETIS-LaribPolypDB/Ground Truth/p{n}.tif"),
    "isic2018": isic,
    "ph2": pairs(
        "PH2 Dataset images/IMD{n:03d}/IMD{n:03d}_Dermoscopic_Image/IMD{n:03d}.bmp",
        "PH2 Dataset images/IMD{n:03d}/IMD{n:03d}_lesion/IMD{n:03d}_lesion.bmp",
    ),
    "glas": glas,
    "busi": busi,
    "endovis17_binary": endovis,
    "endovis17_multiclass": endovis,
    "brats2020": brats,
    "acdc": acdc,
    "stare": pairs("stare-images/im{n:04d}.ppm.gz", "labels-ah/im{n:04d}.ah.ppm.gz"),
    "drive": drive,
    "chase_db1": chase,
}
LABELS = {"endovis17_multiclass": {0, 1, 3}, "brats2020": {0, 1, 3}, "acdc": {0, 1, 3}}
SPLIT_COUNTS = {
    "kvasir_seg": (8, 1, 1),
    "cvc_clinicdb": (12, 4, 4),  # five sequences of four frames
    "cvc_colondb": (0, 0, 10),
    "etis": (0, 0, 10),
    "isic2018": (2, 1, 1),
    "ph2": (8, 1, 1),
    "glas": (6, 2, 2),  # four patients of two images, one of them for validation
    "busi": (3, 1, 1),
    "endovis17_binary": (4, 1, 1),
    "endovis17_multiclass": (4, 1, 1),
    "brats2020": (6, 3, 3),
    "acdc": (8, 4, 4),
    "stare": (7, 1, 2),
    "drive": (2, 1, 1),
    "chase_db1": (16, 4, 8),
}


def test_every_data_set_of_the_papers_table_has_a_preset():
    assert len(PRESETS) == len(set(preset_names())) == 15
    assert set(preset_names()) == set(WRITERS)


@pytest.mark.parametrize("name", preset_names())
def test_a_published_layout_is_found_paired_and_split(name: str, tmp_path: Path):
    expected = WRITERS[name](tmp_path)
    splits = load_dataset(tmp_path, name)
    assert tuple(len(splits.get(split, [])) for split in SPLITS) == SPLIT_COUNTS[name]
    samples = [sample for found in splits.values() for sample in found]
    assert len({sample.stem for sample in samples}) == len(samples) == expected
    classes = find_preset(name).classes
    seen: set[int] = set()
    for sample in samples:
        image, labels = read_sample_image(sample), read_sample_labels(sample, classes)
        assert image.shape == (*SIZE, 3)
        np.testing.assert_array_equal(labels > 0, image[..., 1] > 128, err_msg=sample.stem)
        seen |= set(np.unique(labels).tolist())
        assert read_sample_labels(sample, classes, 32).shape == (32, 32)
    assert seen == LABELS.get(name, {0, 1})


@pytest.mark.parametrize("name", ["cvc_clinicdb", "glas", "endovis17_binary", "brats2020", "acdc", "chase_db1"])
def test_no_case_is_on_two_sides(name: str, tmp_path: Path):
    WRITERS[name](tmp_path)
    sides: dict[str, set[str]] = {}
    for split, samples in load_dataset(tmp_path, name).items():
        for sample in samples:
            assert sample.case
            sides.setdefault(sample.case, set()).add(split)
    assert len(sides) > 2
    assert all(len(splits) == 1 for splits in sides.values())


def test_the_drawn_split_is_the_same_wherever_the_data_lie(tmp_path: Path):
    for place in ("a", "b/deeper"):
        WRITERS["ph2"](tmp_path / place)
    here, there = (load_dataset(tmp_path / place, "ph2") for place in ("a", "b"))
    assert {split: [sample.stem for sample in samples] for split, samples in here.items()} == {
        split: [sample.stem for sample in samples] for split, samples in there.items()
    }
    assert [sample.stem for sample in here["test"]] == ["IMD009"]  # pinned: figures depend on it


def test_frames_of_unnamed_videos_are_all_test(tmp_path: Path):
    clinicdb(tmp_path)
    (tmp_path / "metadata.csv").unlink()
    assert {split: len(found) for split, found in load_dataset(tmp_path, "cvc_clinicdb").items()} == {"test": 20}


def test_a_split_table_of_ones_own_overrides_the_presets(tmp_path: Path):
    WRITERS["etis"](tmp_path)
    (tmp_path / "split.csv").write_text("stem,split\n1,train\n2,val\n")
    found = load_dataset(tmp_path, "etis")
    assert {split: [sample.stem for sample in samples] for split, samples in found.items()} == {
        "train": ["1"],
        "val": ["2"],
    }


def test_three_neighbouring_slices_become_the_colour_channels(tmp_path: Path):
    brats(tmp_path)
    sample = next(s for found in load_dataset(tmp_path, "brats2020").values() for s in found if s.slice_index == 1)
    number = int(sample.case[-1])
    image = read_sample_image(sample)
    for channel, plane in enumerate((number, number + 1, number + 2)):
        np.testing.assert_array_equal(image[..., channel] > 128, truth(plane))
    first = read_sample_image(replace(sample, slice_index=0))
    np.testing.assert_array_equal(first[..., 0], first[..., 1])  # nothing lies before the first


def test_fields_of_view_are_published_or_estimated(tmp_path: Path):
    drive(tmp_path)
    sample = load_dataset(tmp_path, "drive")["test"][0]
    assert sample.field_of_view is not None
    assert read_field_of_view(sample).all()
    disc = np.hypot(*np.mgrid[-50:50, -60:60]) < 45
    photograph = np.zeros((100, 120, 3), np.uint8)
    photograph[disc] = (180, 90, 40)
    photograph[48:52, 30:90] = 5  # a dark vessel is inside all the same
    photograph[2, 3] = 255  # and a speck outside is not
    save(tmp_path / "fundus.png", photograph)
    estimated = read_field_of_view(Sample("x", tmp_path / "fundus.png", tmp_path / "fundus.png"))
    assert (estimated == disc).mean() > 0.99


def test_a_missing_mask_is_an_error_but_a_part_without_truth_is_not(tmp_path: Path):
    endovis(tmp_path)
    assert scan_dataset(tmp_path, "endovis17_binary").without_truth == ["instrument_dataset_1_frame225"]
    glas(tmp_path / "glas")
    next((tmp_path / "glas").rglob("train_3_anno.bmp")).unlink()
    with pytest.raises(ImageError, match=r"train_3 of .* has no mask"):
        load_dataset(tmp_path / "glas", "glas")


def test_a_value_that_stands_for_no_class_is_refused(tmp_path: Path):
    brats(tmp_path)
    path = next(tmp_path.rglob("BraTS20_Training_001_seg.nii"))
    save_volume(path, [np.full(SIZE, 3)] * 3)
    sample = next(s for found in load_dataset(tmp_path, "brats2020").values() for s in found if s.mask == path)
    with pytest.raises(ImageError, match="holds the value 3, which stands for no class"):
        read_sample_labels(sample, 4)


def test_wrong_requests_say_what_to_do(tmp_path: Path):
    with pytest.raises(ConfigurationError, match=r"no preset 'dirve'.*drive"):
        load_dataset(tmp_path, "dirve")
    with pytest.raises(ImageError, match=r"holds nothing of the layout of DRIVE.*1st_manual"):
        load_dataset(tmp_path, "drive")
    with pytest.raises(ImageError, match="there is no folder"):
        load_dataset(tmp_path / "nowhere", "drive")


def test_a_data_set_is_called_by_its_name_where_that_is_known():
    assert dataset_title("kvasir_seg") == "Kvasir-SEG"
    assert dataset_title("sunnybrook_lv").startswith("Sunnybrook Cardiac Data")
    assert dataset_title("my folder") == "my folder"
