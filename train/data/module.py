"""An image folder or a published data set as a Lightning data module."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import LightningDataModule
from monai.data import DataLoader as MonaiLoader
from torch import Tensor
from torch.utils.data import Dataset, DistributedSampler

from s2m_edge.errors import ImageError
from s2m_edge.imaging.folders import list_images
from s2m_edge.imaging.intensity import Intensity
from s2m_edge.imaging.read import DEFAULT_INTENSITY
from s2m_edge.train.data.augment import Augmentation, build_augmentation, find_augmentation
from s2m_edge.train.data.items import LABELLED, Item, load_sample, load_unlabelled
from s2m_edge.train.data.layouts import load_training_data
from s2m_edge.train.data.patches import PatchSampling, build_patch_sampler
from s2m_edge.train.data.sample import Labelling, Sample

DRAW = "draw"


class ImageFolderData(LightningDataModule):
    """Samples of one network size.

    Training batches: {"image": B x C x size x size in [0, 1], "mask": B x 1 x size x size of labels, "stem": list},
    float32. Validation batches alike, in order and unchanged; with patches they hold one whole picture of its own size,
    for a sliding window, and its "field_of_view". What an epoch draws (order, augmentation, patches) depends on seed,
    epoch and sample alone: neither on the number of workers nor on whether the run was resumed.

    Args:
        folder: an image folder, or with `preset` a published data set.
        size: of the network, or of the patches.
        channels: 3 (RGB) or 1 (grey).
        batch_size: per process.
        classes: of the network; the masks hold labels below it.
        preset: see presets.py.
        augmentation: a variant's name, or an `Augmentation` of one's own.
        patches: train on patches of `size` x `size` at native size (True: 16 of every image in an epoch).
        enhance: green-channel CLAHE. The deployment contract has no such step: see `enhance_vessels`.
        in_memory: read everything once. Otherwise files are read whenever they are wanted, for data sets larger than
            the memory.
        augment_on_device: augment on the accelerator, after the transfer, instead of in the workers.
        workers: processes that read and augment.
        unlabelled: a folder of pictures without masks, which are trained on too; see LABELLED.
        epoch_parts: epochs in which every sample comes once; at least 1.
        labelling: of the masks, instead of the preset's.

    Raises (from `setup`):
        ImageError, ConfigurationError: the data or an option.
    """

    def __init__(
        self,
        folder: Path,
        size: int,
        channels: int,
        batch_size: int,
        seed: int,
        *,
        classes: int = 1,
        preset: str | None = None,
        augmentation: str | Augmentation = "first",
        patches: PatchSampling | bool = False,
        enhance: bool = False,
        intensity: Intensity = DEFAULT_INTENSITY,
        in_memory: bool = True,
        augment_on_device: bool = False,
        workers: int = 0,
        unlabelled: Path | None = None,
        epoch_parts: int = 1,
        labelling: Labelling | None = None,
    ) -> None:
        super().__init__()
        self.folder, self.size, self.channels, self.classes = folder, size, channels, classes
        self.batch_size, self.seed, self.preset, self.workers = batch_size, seed, preset, workers
        self.unlabelled, self.epoch_parts, self.labelling = unlabelled, epoch_parts, labelling
        self.patches = (PatchSampling() if patches else None) if isinstance(patches, bool) else patches
        self.enhance, self.in_memory, self.augment_on_device = enhance, in_memory, augment_on_device
        self.intensity = intensity
        chosen = find_augmentation(augmentation) if isinstance(augmentation, str) else augmentation
        self.augment = build_augmentation(chosen, size)

    def setup(self, stage: str) -> None:
        if stage in ("fit", "validate") and not hasattr(self, "training"):
            training, validation, _ = load_training_data(self.folder, self.preset, self.labelling)
            pictures = [] if self.unlabelled is None else list_images(self.unlabelled)
            self.training, self.validation = self._load([*training, *pictures]), self._load(validation)

    def _load(self, sources: Sequence[Sample | Path]) -> Any:
        if self.in_memory:
            return [self._read(source) for source in sources]
        return _Lazy(sources, self._read)

    def _read(self, source: Sample | Path) -> Item:
        options: Any = {"native": self.patches is not None, "enhance": self.enhance, "intensity": self.intensity}
        if isinstance(source, Path):
            return load_unlabelled(source, self.size, self.channels, **options)
        item = load_sample(source, self.size, self.channels, self.classes, **options)
        return item if self.unlabelled is None else {**item, LABELLED: True}

    def train_dataloader(self) -> MonaiLoader:
        sampler = build_patch_sampler(self.size) if self.patches is not None else None
        augment = None if self.augment_on_device else self.augment
        repeats = self.patches.per_image if self.patches is not None else 1
        drawn = _Drawn(self.training, self.seed, sampler, augment, repeats)
        trainer = self.trainer
        order = _EpochOrder(
            drawn,
            self.epoch_parts,
            num_replicas=trainer.world_size if trainer is not None else 1,
            rank=trainer.global_rank if trainer is not None else 0,
            shuffle=True,
            seed=self.seed,
        )
        if trainer is not None:
            order.set_epoch(trainer.current_epoch)
        return _Loader(
            drawn,
            num_workers=self.workers,
            batch_size=self.batch_size,
            sampler=order,
            drop_last=len(order) >= self.batch_size,  # a set smaller than a batch would else give none
        )

    def val_dataloader(self) -> MonaiLoader:
        batch_size = 1 if self.patches is not None else self.batch_size
        return _Loader(_Plain(self.validation), num_workers=self.workers, batch_size=batch_size)

    def validation_items(self, count: int) -> list[Item]:
        """The first items of the validation set, as its batches hold them."""
        plain = _Plain(self.validation)
        return [plain[index] for index in range(min(count, len(plain)))]

    def on_after_batch_transfer(self, batch: Item, dataloader_idx: int) -> Item:
        """Augmentation on the accelerator, picture by picture, from the draws that came with the batch."""
        if DRAW not in batch:
            return batch
        draws = batch.pop(DRAW)
        changed = [
            augmented({"image": image, "mask": mask}, self.augment, int(draw))
            for image, mask, draw in zip(batch["image"], batch["mask"], draws, strict=True)
        ]
        return {**batch, **{key: torch.stack([item[key] for item in changed]) for key in ("image", "mask")}}


def augmented(item: Item, transform: Callable[[Item], Any], draw: int) -> Item:
    """`transform`, seeded with `draw`, of an item; plain float32 tensors, the image clipped to [0, 1].

    On one thread, as in a worker: BLAS rounds differently on several, and an epoch must be the same on all.
    """
    transform.set_random_state(draw)  # type: ignore[attr-defined]
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        changed = transform(item)
    finally:
        torch.set_num_threads(threads)
    return _plain(changed[0] if isinstance(changed, list) else changed)


def _plain(item: Item) -> Item:
    """Without MONAI's metadata, which would be collated."""
    tensors = {key: value for key, value in item.items() if isinstance(value, Tensor)}
    plain = {key: value.as_subclass(torch.Tensor).contiguous() for key, value in tensors.items()}
    return {**item, **plain, "image": plain["image"].clamp(0, 1)}


def _to_float(item: Item) -> Item:
    floats = {key: value.float() for key, value in item.items() if isinstance(value, Tensor)}
    return {**item, **floats, "image": floats["image"] / 255.0}


class _Lazy(Dataset[Item]):
    """Samples and pictures that are read when they are wanted."""

    def __init__(self, samples: Sequence[Sample | Path], read: Callable[[Sample | Path], Item]) -> None:
        self.samples, self.read = samples, read

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Item:
        return self.read(self.samples[index])


class _Plain(Dataset[Item]):
    """Items as float32, unchanged."""

    def __init__(self, items: Any) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Item:
        return _to_float(self.items[index])


class _Drawn(Dataset[Item]):
    """Items as float32, cut and augmented; asked for by (epoch, index)."""

    def __init__(self, items: Any, seed: int, sampler: Any, augment: Any, repeats: int) -> None:
        self.items, self.seed, self.sampler, self.augment, self.repeats = items, seed, sampler, augment, repeats

    def __len__(self) -> int:
        return len(self.items) * self.repeats

    def __getitem__(self, key: tuple[int, int]) -> Item:
        epoch, index = key
        cut, draw = (int(n) for n in np.random.SeedSequence([self.seed, epoch, index]).generate_state(2))
        item = _to_float(self.items[index % len(self.items)])
        if self.sampler is not None:
            item = augmented(item, self.sampler, cut)
        return {**item, DRAW: draw} if self.augment is None else augmented(item, self.augment, draw)


class _EpochOrder(DistributedSampler[Item]):
    """Torch's shuffle by seed and epoch, one process or several, which hands out (epoch, index).

    Args:
        parts: epochs that share a shuffle, each with its part of the samples.
        options: of torch's sampler.
    """

    def __init__(self, dataset: Any, parts: int, **options: Any) -> None:
        super().__init__(dataset, **options)
        self.parts = parts

    def __iter__(self) -> Iterator[Any]:
        epoch, part = self.epoch, self._part
        self.set_epoch(epoch // self.parts)  # torch seeds the shuffle with it
        chosen = list(super().__iter__())[part]
        self.set_epoch(epoch)
        return ((epoch, index) for index in chosen)

    def __len__(self) -> int:
        return len(range(self.num_samples)[self._part])

    @property
    def _part(self) -> slice:
        return slice(self.epoch % self.parts, None, self.parts)


class _Loader(MonaiLoader):
    """A loader whose workers' errors arrive as the one line that they are."""

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        try:
            yield from super().__iter__()
        except ImageError as error:
            raise ImageError(str(error).rpartition(f"{ImageError.__name__}: ")[2]) from None
