"""Image folders (`images/`, `masks/` with the same stems, `split.csv`) as a Lightning data module."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from lightning import LightningDataModule
from monai.data import DataLoader, Dataset
from monai.transforms import (
    Compose,
    RandAdjustContrastd,
    RandAffined,
    RandFlipd,
    RandScaleIntensityd,
    RandShiftIntensityd,
)
from numpy.typing import NDArray

from s2m_edge.errors import ImageError
from s2m_edge.imaging.preprocess import Preprocessing, fit_to_network
from s2m_edge.imaging.read import is_image_path, read_image, read_mask
from s2m_edge.imaging.resample import resample

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Sample:
    """One image with its mask."""

    stem: str
    image: Path
    mask: Path


def list_samples(folder: Path, split: str) -> list[Sample]:
    """The samples of one split of an image folder, in the order of split.csv.

    Raises:
        ImageError: the folder, its split.csv, the split, or a file named there is missing.
    """
    table = folder / "split.csv"
    if not table.is_file():
        raise ImageError(
            f"{folder} has no split.csv", "Write one with the columns stem,split, or point --data at an image folder."
        )
    images = {path.stem: path for path in (folder / "images").glob("*") if is_image_path(path)}
    masks = {path.stem: path for path in (folder / "masks").glob("*") if is_image_path(path)}
    samples: list[Sample] = []
    with table.open(newline="") as file:
        for row in csv.DictReader(file):
            if row.get("split") != split:
                continue
            stem = row["stem"]
            if stem not in images or stem not in masks:
                missing = "image" if stem not in images else "mask"
                raise ImageError(f"split.csv of {folder} names {stem}, which has no {missing}", "Restore or remove it.")
            samples.append(Sample(stem, images[stem], masks[stem]))
    if not samples:
        raise ImageError(f"{table} has no rows of the split {split!r}", f"Splits are {', '.join(SPLITS)}.")
    return samples


def read_binary_mask(path: Path, size: int | None = None) -> NDArray[np.uint8]:
    """A mask as 0 and 1, H x W, optionally stretched to size x size (resampled as coverage, then decided at half)."""
    labels = read_mask(path)
    binary = (labels > (127 if labels.max() > 1 else 0)).astype(np.float32)
    if size is not None:
        binary = resample(binary[None], size, size)[0]
    return (binary >= 0.5).astype(np.uint8)


def load_samples(samples: list[Sample], size: int, channels: int) -> list[dict[str, torch.Tensor]]:
    """All samples in memory: image C x size x size and mask 1 x size x size, uint8."""
    preprocessing = Preprocessing(size=size, channels=channels)
    loaded: list[dict[str, torch.Tensor]] = []
    for sample in samples:
        fitted = fit_to_network(read_image(sample.image), preprocessing)
        loaded.append(
            {
                "image": torch.from_numpy(fitted.transpose(2, 0, 1).copy()),
                "mask": torch.from_numpy(read_binary_mask(sample.mask, size)[None]),
            }
        )
    return loaded


def whole_image_augmentation(seed: int) -> Compose:
    """Flips, rotation to 180 degrees, shift and scale 0.2, intensity jitter (design of the paper's table 12)."""
    pair = ["image", "mask"]
    transforms = Compose(
        [
            RandFlipd(pair, prob=0.5, spatial_axis=0),
            RandFlipd(pair, prob=0.5, spatial_axis=1),
            RandAffined(
                pair,
                prob=0.8,
                rotate_range=np.pi,
                scale_range=(0.25, 0.25),
                translate_range=None,
                mode=("bilinear", "nearest"),
                padding_mode="reflection",
            ),
            RandAdjustContrastd("image", prob=0.5, gamma=(0.7, 1.5)),
            RandScaleIntensityd("image", prob=0.7, factors=0.2, channel_wise=True),
            RandShiftIntensityd("image", prob=0.7, offsets=0.1),
        ]
    )
    transforms.set_random_state(seed)
    return transforms


def _to_float(item: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {"image": item["image"].float() / 255.0, "mask": item["mask"].float()}


def _finish(item: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    plain = {key: torch.as_tensor(value).as_subclass(torch.Tensor) for key, value in item.items()}
    return {"image": plain["image"].clamp(0, 1), "mask": plain["mask"]}


class ImageFolderData(LightningDataModule):
    """An image folder held in memory at one size.

    Batches: {"image": B x C x size x size in [0, 1], "mask": B x 1 x size x size of 0 and 1}, float32.
    """

    def __init__(self, folder: Path, size: int, channels: int, batch_size: int, seed: int) -> None:
        super().__init__()
        self.folder, self.size, self.channels = folder, size, channels
        self.batch_size, self.seed = batch_size, seed

    def setup(self, stage: str) -> None:
        if stage == "fit" and not hasattr(self, "training"):
            self.training = load_samples(list_samples(self.folder, "train"), self.size, self.channels)
            self.validation = load_samples(list_samples(self.folder, "val"), self.size, self.channels)

    def train_dataloader(self) -> DataLoader:
        transform = Compose([_to_float, whole_image_augmentation(self.seed), _finish])
        generator = torch.Generator().manual_seed(self.seed)
        return DataLoader(
            Dataset(self.training, transform),
            batch_size=self.batch_size,
            shuffle=True,
            drop_last=True,
            generator=generator,
        )

    def val_dataloader(self) -> DataLoader:
        return DataLoader(Dataset(self.validation, Compose([_to_float, _finish])), batch_size=self.batch_size)
