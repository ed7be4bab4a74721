"""Image folders, in either of two layouts, and their masks. Needs no training library.

    images/ masks/ split.csv                     the same stems; split.csv has the columns stem,split[,case]
    train/ val/ test/                            each with images/ masks/

`image`, `imgs`, `mask`, `labels` and `label` are taken as folder names too, `valid` and `validation` for `val`. A
volume counts as one picture, its middle slice; presets (presets.py) take volumes slice by slice.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from s2m_edge.errors import ImageError
from s2m_edge.imaging.read import is_image_path
from s2m_edge.imaging.resample import resample
from s2m_edge.train.data.sample import SPLITS, UNSPLIT, Gap, Listing, Sample
from s2m_edge.train.data.volumes import read_label_file

__all__ = ["SPLITS", "Sample", "list_samples", "read_binary_mask", "read_labels", "read_split_table", "scan_folder"]

TABLE = "split.csv"
WHITE_FROM = 127  # greys above are foreground, as JPEG leaves them
IMAGE_FOLDERS = ("images", "image", "imgs")
MASK_FOLDERS = ("masks", "mask", "labels", "label")
SPLIT_FOLDERS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}


def list_samples(folder: Path, split: str) -> list[Sample]:
    """The samples of one split of an image folder, in the order of split.csv, or by name.

    Raises:
        ImageError: the folder, its split.csv, the split, or a file of the split is missing.
    """
    table, by_table = folder / TABLE, (folder / TABLE).is_file()
    if not by_table and not any(_split_folder(folder, name) for name in SPLITS):
        raise ImageError(
            f"{folder} has no split.csv", "Write one with the columns stem,split, or point --data at an image folder."
        )
    listing = scan_folder(folder)
    for gap in listing.gaps:
        if gap.split == split:
            where = f"split.csv of {folder}" if by_table else f"{split}/ of {folder}"
            raise ImageError(f"{where} names {gap.stem}, which has no {gap.missing}", "Restore or remove it.")
    samples = listing.samples.get(split, [])
    if not samples:
        where = f"{table} has no rows of" if by_table else f"{folder} has no folder with images of"
        raise ImageError(f"{where} the split {split!r}", f"Splits are {', '.join(SPLITS)}.")
    return samples


def scan_folder(folder: Path) -> Listing:
    """Everything that an image folder holds, complete or not. Without a split all samples are UNSPLIT.

    Raises:
        ImageError: there is no such folder, it has neither layout, or split.csv has no column `stem`.
    """
    if not folder.is_dir():
        raise ImageError(f"there is no folder {folder}", "Check the path.")
    listing = Listing()
    if (folder / TABLE).is_file():
        _scan_table(folder, listing)
        return listing
    parts = [(name, found) for name in SPLITS if (found := _split_folder(folder, name)) is not None]
    if not parts and _find(folder, IMAGE_FOLDERS) is not None:
        parts = [(UNSPLIT, folder)]
    if not parts:
        raise ImageError(
            f"{folder} holds neither images/ and masks/ nor train/, val/ and test/",
            "Point at an image folder, or name the layout with --preset.",
        )
    for split, part in parts:
        images, masks = _files(part, IMAGE_FOLDERS), _files(part, MASK_FOLDERS)
        for stem in sorted(images.keys() | masks.keys()):
            _pair(listing, split, stem, images, masks)
    return listing


def read_split_table(table: Path) -> list[dict[str, str]]:
    """The rows of a split.csv: `stem`, `split` and, where known, `case`.

    Raises:
        ImageError: the columns stem and split are not there.
    """
    with table.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        if not {"stem", "split"} <= set(reader.fieldnames or ()):
            raise ImageError(f"{table} lacks the columns stem and split", "Give it the first line stem,split.")
        return [{key: (row.get(key) or "").strip() for key in ("stem", "split", "case")} for row in reader]


def read_binary_mask(path: Path, size: int | None = None) -> NDArray[np.uint8]:
    """A mask as 0 and 1, H x W, optionally stretched to size x size (resampled as coverage, then decided at half)."""
    return resize_labels(binary_labels(read_label_file(path), path), 1, size)


def read_labels(path: Path, classes: int, size: int | None = None) -> NDArray[np.uint8]:
    """A mask as labels H x W, optionally stretched to size x size.

    Args:
        classes: of the network. 1 gives 0 and 1 (see `read_binary_mask`); more gives 0 to classes - 1, background 0.

    Raises:
        ImageError: the file cannot be read, or holds a label that the network has no class for.
    """
    if classes == 1:
        return read_binary_mask(path, size)
    labels = read_label_file(path)
    require_classes(labels, classes, path)
    return resize_labels(labels, classes, size)


def binary_labels(values: NDArray[np.uint8], path: Path) -> NDArray[np.uint8]:
    """0 and 1 of a mask stored as 0/1 or as 0/255.

    Raises:
        ImageError: labels of several classes, which would pass for an empty mask.
    """
    largest = int(values.max())
    if 1 < largest <= WHITE_FROM:
        raise ImageError(
            f"{path} holds labels up to {largest}, and one class is expected",
            "Give the classes that these masks have, or save them as 0 and 255.",
        )
    return (values > (WHITE_FROM if largest > 1 else 0)).astype(np.uint8)


def require_classes(labels: NDArray[np.uint8], classes: int, path: Path) -> None:
    """Raise ImageError unless every label is below `classes`."""
    if labels.max() >= classes:
        unexpected = sorted(int(label) for label in np.unique(labels) if label >= classes)
        raise ImageError(
            f"{path} holds the label {unexpected[0]}, and the classes are 0 to {classes - 1}",
            "Relabel the masks, or give the number of classes that they have.",
        )


def resize_labels(labels: NDArray[np.uint8], classes: int, size: int | None) -> NDArray[np.uint8]:
    """Labels H x W stretched to size x size; as they are where `size` is None."""
    if size is None:
        return labels.astype(np.uint8)
    if classes == 1:
        return (resample(labels[None].astype(np.float32), size, size)[0] >= 0.5).astype(np.uint8)
    # Each class as coverage, then the largest: a label between two others is never invented.
    coverage = resample((labels[None] == np.arange(classes)[:, None, None]).astype(np.float32), size, size)
    return coverage.argmax(axis=0).astype(np.uint8)


def _scan_table(folder: Path, listing: Listing) -> None:
    images, masks = _files(folder, IMAGE_FOLDERS), _files(folder, MASK_FOLDERS)
    named: set[str] = set()
    for row in read_split_table(folder / TABLE):
        named.add(row["stem"])
        _pair(listing, row["split"], row["stem"], images, masks, row["case"])
    listing.unlisted.extend(sorted((images.keys() | masks.keys()) - named))


def _pair(
    listing: Listing, split: str, stem: str, images: dict[str, Path], masks: dict[str, Path], case: str = ""
) -> None:
    if stem in images and stem in masks:
        listing.add(split, Sample(stem, images[stem], masks[stem], case=case))
    else:
        listing.gaps.append(Gap(split, stem, "mask" if stem in images else "image"))


def _find(folder: Path, names: tuple[str, ...]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_dir()), None)


def _split_folder(folder: Path, split: str) -> Path | None:
    return _find(folder, SPLIT_FOLDERS[split])


def _files(folder: Path, names: tuple[str, ...]) -> dict[str, Path]:
    """The images of the first folder of these names that is there, by stem."""
    found = _find(folder, names)
    return {} if found is None else {_stem(path): path for path in sorted(found.iterdir()) if is_image_path(path)}


def _stem(path: Path) -> str:
    return path.name[: -len(".nii.gz")] if path.name.lower().endswith(".nii.gz") else path.stem
