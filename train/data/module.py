"""An image folder as a Lightning data module."""

from __future__ import annotations

from pathlib import Path

import torch
from lightning import LightningDataModule
from monai.data import DataLoader, Dataset
from monai.transforms import Compose

from s2m_edge.imaging.preprocess import Preprocessing, fit_to_network
from s2m_edge.imaging.read import read_image
from s2m_edge.train.data.augment import whole_image_augmentation
from s2m_edge.train.data.folders import Sample, list_samples, read_labels


def load_samples(samples: list[Sample], size: int, channels: int, classes: int = 1) -> list[dict[str, torch.Tensor]]:
    """All samples in memory: image C x size x size and mask 1 x size x size (labels), uint8."""
    preprocessing = Preprocessing(size=size, channels=channels)
    loaded: list[dict[str, torch.Tensor]] = []
    for sample in samples:
        fitted = fit_to_network(read_image(sample.image), preprocessing)
        loaded.append(
            {
                "image": torch.from_numpy(fitted.transpose(2, 0, 1).copy()),
                "mask": torch.from_numpy(read_labels(sample.mask, classes, size)[None]),
            }
        )
    return loaded


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
