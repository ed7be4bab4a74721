"""Image folders: `images/`, `masks/` with the same stems, `split.csv`. Needs no training library."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from s2m_edge.errors import ImageError
from s2m_edge.imaging.read import is_image_path, read_mask
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


def read_labels(path: Path, classes: int, size: int | None = None) -> NDArray[np.uint8]:
    """A mask as labels H x W, optionally stretched to size x size.

    Args:
        classes: of the network. 1 gives 0 and 1 (see `read_binary_mask`); more gives 0 to classes - 1, background 0.

    Raises:
        ImageError: the file cannot be read, or holds a label that the network has no class for.
    """
    if classes == 1:
        return read_binary_mask(path, size)
    labels = read_mask(path)
    if labels.max() >= classes:
        unexpected = sorted(int(label) for label in np.unique(labels) if label >= classes)
        raise ImageError(
            f"{path} holds the label {unexpected[0]}, and the classes are 0 to {classes - 1}",
            "Relabel the masks, or give the number of classes that they have.",
        )
    if size is None:
        return labels.astype(np.uint8)
    # Each class as coverage, then the largest: a label between two others is never invented.
    coverage = resample((labels[None] == np.arange(classes)[:, None, None]).astype(np.float32), size, size)
    return coverage.argmax(axis=0).astype(np.uint8)
