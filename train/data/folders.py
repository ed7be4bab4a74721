"""Image folders, in either of two layouts, and their masks. Needs no training library.

    images/ masks/ split.csv                     the same stems; split.csv has the columns stem,split[,patient or case]
    train/ val/ test/                            each with images/ masks/

`image`, `imgs`, `mask`, `labels` and `label` are taken as folder names too, `valid` and `validation` for `val`. A
volume counts as one picture, its middle slice; presets (presets.py) take volumes slice by slice.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from s2m_edge.errors import ImageError
from s2m_edge.imaging.folders import alike, image_files, stem_of
from s2m_edge.imaging.resample import resample
from s2m_edge.text_files import read_text
from s2m_edge.train.data.sample import SPLITS, UNSPLIT, Clash, Gap, Listing, Sample
from s2m_edge.train.data.volumes import read_label_file

__all__ = [
    "SPLITS",
    "Sample",
    "list_every_sample",
    "list_samples",
    "read_binary_mask",
    "read_labels",
    "read_split_table",
    "scan_folder",
]

Files = dict[str, list[Path]]
TABLE = "split.csv"
WHITE_FROM = 127  # greys above are foreground, as JPEG leaves them
IMAGE_FOLDERS = ("images", "image", "imgs")
MASK_FOLDERS = ("masks", "mask", "labels", "label")
SPLIT_FOLDERS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}


def list_samples(folder: Path, split: str) -> list[Sample]:
    """The samples of one split of an image folder, in the order of split.csv, or by name.

    Raises:
        ImageError: the folder, its split.csv, the split, or a file of the split is missing, or a stem names several.
    """
    table, by_table = folder / TABLE, (folder / TABLE).is_file()
    if not by_table and not any(_split_folder(folder, name) for name in SPLITS):
        raise ImageError(
            f"{folder} has no split.csv",
            f"Write one there: first the line stem,split, then one for each image, its name without suffix and "
            f"{', '.join(SPLITS)}, like case-01,test. s2m-edge evaluate takes all images with --all-images.",
        )
    listing = scan_folder(folder)
    require_no_clash(folder, listing, split)
    for gap in listing.gaps:
        if gap.split == split:
            where = f"split.csv of {folder}" if by_table else f"{split}/ of {folder}"
            raise ImageError(f"{where} names {gap.stem}, which has no {gap.missing}", "Restore or remove it.")
    samples = listing.samples.get(split, [])
    if not samples:
        where = f"{table} has no rows of" if by_table else f"{folder} has no folder with images of"
        raise ImageError(f"{where} the split {split!r}", f"Splits are {', '.join(SPLITS)}.")
    return samples


def list_every_sample(folder: Path) -> list[Sample]:
    """The samples of an image folder, whether or not it has a split, by split and then as `list_samples`.

    Raises:
        ImageError: there is no such folder, it holds no complete sample or an incomplete one, or a stem names several.
    """
    listing = scan_folder(folder)
    require_no_clash(folder, listing)
    for gap in listing.gaps:
        raise ImageError(f"{gap.stem} in {folder} has no {gap.missing}", "Restore or remove it.")
    samples = [sample for found in listing.samples.values() for sample in found]
    if not samples:
        raise ImageError(f"{folder} holds no image with its mask", "Put images/ and masks/ of the same names there.")
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
        _note_clashes(listing, split, images | masks, images, masks)
    return listing


def require_no_clash(folder: Path, listing: Listing, split: str | None = None) -> None:
    """Raise ImageError where a stem names several files or rows, of one split or (None) of any."""
    for clash in listing.clashes:
        if split is None or clash.split in (None, split):
            raise ImageError(f"{folder}: {clash.text} ({clash.where})", "Rename or remove all but one.")


def read_split_table(table: Path) -> list[dict[str, str]]:
    """The rows of a split.csv: `stem`, `split` and, where known, `case`: the column `patient`, or else `case`.

    Raises:
        ImageError: it is no UTF-8 text or no table, or the columns stem and split are not there.
    """
    reader = csv.DictReader(io.StringIO(read_text(table, ImageError), newline=""))
    try:
        if not {"stem", "split"} <= set(reader.fieldnames or ()):
            raise ImageError(f"{table} lacks the columns stem and split", "Give it the first line stem,split.")
        rows = [{key: (row.get(key) or "").strip() for key in ("stem", "split", "case", "patient")} for row in reader]
    except csv.Error as error:
        raise ImageError(f"{table} is no table ({error})", "Save it as comma-separated text.") from None
    return [{"stem": row["stem"], "split": row["split"], "case": row["patient"] or row["case"]} for row in rows]


def table_clashes(rows: list[dict[str, str]]) -> list[Clash]:
    """The stems that a split.csv has more than once, or that differ in case alone."""
    twice = alike(row["stem"] for row in rows)
    return [Clash(None, "split.csv names a stem more than once", ", ".join(group)) for group in twice]


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
    rows = read_split_table(folder / TABLE)
    for row in rows:
        _pair(listing, row["split"], row["stem"], images, masks, row["case"])
    named = {row["stem"] for row in rows}
    listing.clashes.extend(table_clashes(rows))
    _note_clashes(listing, None, named, images, masks)
    listing.unlisted.extend(sorted((images.keys() | masks.keys()) - named))


def _pair(listing: Listing, split: str, stem: str, images: Files, masks: Files, case: str = "") -> None:
    if stem in images and stem in masks:
        listing.add(split, Sample(stem, images[stem][0], masks[stem][0], case=case))
    else:
        listing.gaps.append(Gap(split, stem, "mask" if stem in images else "image"))


def _note_clashes(listing: Listing, split: str | None, stems: Collection[str], images: Files, masks: Files) -> None:
    """Note the stems, of those that are used, that several images or masks share, in spite of case or suffix."""
    used = {stem for stem in stems if stem}
    for files, text in ((images, "two images of one stem"), (masks, "two masks of one stem")):
        for group in alike(stem for stem, paths in files.items() for _ in paths):
            if used & set(group):
                paths = [path for stem in dict.fromkeys(group) for path in files[stem]]
                names = ", ".join(f"{path.parent.name}/{path.name}" for path in paths)
                listing.clashes.append(Clash(split, text, names))


def _find(folder: Path, names: tuple[str, ...]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_dir()), None)


def _split_folder(folder: Path, split: str) -> Path | None:
    return _find(folder, SPLIT_FOLDERS[split])


def _files(folder: Path, names: tuple[str, ...]) -> Files:
    """The images of the first folder of these names that is there, by stem."""
    found: Files = {}
    place = _find(folder, names)
    for path in () if place is None else image_files(place):
        found.setdefault(stem_of(path), []).append(path)
    return found
