"""Finding the samples of a data set as it was published: one reader of file name patterns serves every layout.

A preset gives patterns of paths relative to the folder, for images, masks and, where there are any, fields of view.
Their named groups say what belongs together: files whose groups agree are one sample. The groups are

    stem    names the picture, and with `case`, where there is one, the sample; a case alone is a stem too
    case    patient or video
    split   the published part (training, testA, ...)
    part    whatever folders lie above; every pattern begins with it, so that a data set may be unpacked anywhere below

Where a picture lies there twice (PNG and TIFF), the first counts.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from s2m_edge.errors import ImageError
from s2m_edge.imaging.folders import is_clutter
from s2m_edge.imaging.slices import count_slices
from s2m_edge.text_files import read_text
from s2m_edge.train.data.folders import (
    TABLE,
    list_samples,
    read_split_table,
    require_no_clash,
    scan_folder,
    table_clashes,
)
from s2m_edge.train.data.sample import SPLITS, Gap, Labelling, Listing, Sample, with_labelling
from s2m_edge.train.data.splits import divide_cases, hold_out

if TYPE_CHECKING:
    from s2m_edge.train.data.presets import DatasetPreset

ABOVE = r"(?:(?P<part>.+?)/)??"  # as little as possible: folders that the pattern itself may name are the pattern's
Key = tuple[str, str, str, str]  # part, split, case, stem
Update = Callable[[str, int, int], None]


@dataclass(frozen=True)
class _Found:
    """The files of one sample, before slices and splits."""

    key: Key
    image: Path
    masks: tuple[Path, ...]
    field_of_view: Path | None
    case: str

    @property
    def stem(self) -> str:
        _, _, case, stem = self.key
        return stem if case in stem else f"{case}_{stem}"


def load_dataset(folder: Path, preset: str | None = None) -> dict[str, list[Sample]]:
    """The samples of every split that a folder has.

    Args:
        folder: an image folder (see folders.py), or a published data set.
        preset: a name of presets.py; None for an image folder. A `split.csv` in the data set's folder
            (`stem,split`) overrides the preset's split.

    Raises:
        ImageError: nothing of the layout is there, or a mask is missing.
        ConfigurationError: there is no such preset.
    """
    if preset is None:
        named = [split for split in SPLITS if split in scan_folder(folder).samples]
        return {split: list_samples(folder, split) for split in named or SPLITS[:1]}
    listing = scan_dataset(folder, preset)
    require_no_clash(folder, listing)
    if listing.gaps:
        gap = listing.gaps[0]
        raise ImageError(f"{gap.stem} of {folder} has no {gap.missing}", "Restore it, or see s2m-edge data check.")
    return listing.samples


def load_training_data(
    folder: Path, preset: str | None = None, labelling: Labelling | None = None
) -> tuple[list[Sample], list[Sample], str]:
    """Samples to train on, samples to validate with, and a remark (empty, or how the latter were chosen).

    Args:
        labelling: of the masks, instead of the preset's.

    Raises:
        ImageError, ConfigurationError: as `load_dataset`, or there is nothing to train on.
    """
    splits = load_dataset(folder, preset)
    train, validation = splits.get("train", []), splits.get("val", [])
    remark = ""
    if train and not validation:
        count = len(train)
        train, validation = hold_out(train)
        remark = f"{folder} has no split 'val': {len(validation)} of its {count} training samples are held out for it"
    if not train:
        raise ImageError(f"{folder} has too few samples to train on", "Write a split.csv (stem,split) with more.")
    return with_labelling(train, labelling), with_labelling(validation, labelling), remark


def scan_dataset(folder: Path, preset: str, update: Update | None = None) -> Listing:
    """Everything that a published data set holds, complete or not.

    Raises:
        ImageError: there is no such folder, or nothing in it has the layout.
        ConfigurationError: there is no such preset.
    """
    from s2m_edge.train.data.presets import find_preset

    wanted = find_preset(preset)
    if not folder.is_dir():
        raise ImageError(f"there is no folder {folder}", "Check the path.")
    listing = Listing()
    found = _collect(folder, wanted, listing)
    if not found:
        raise ImageError(f"{folder} holds nothing of the layout of {wanted.title}", f"Expected is {wanted.layout}.")
    splits = _splits(folder, wanted, found, listing)
    for count, entry in enumerate(found):
        split = splits[entry.stem]
        if not split:  # a split.csv of the user's leaves it out
            listing.unlisted.append(entry.stem)
            continue
        for sample in _samples(entry, wanted):
            listing.add(split, sample)
        if update is not None:
            update("listing", count + 1, len(found))
    return listing


def _collect(folder: Path, preset: DatasetPreset, listing: Listing) -> list[_Found]:
    """Images with their masks; what is incomplete goes to `listing`."""
    paths = _paths(folder)
    images = {key: files[0] for key, files in _matches(folder, paths, preset.image).items()}
    masks = _matches(folder, paths, preset.mask)
    views = _matches(folder, paths, preset.field_of_view) if preset.field_of_view else {}
    with_truth = {key[:2] for key in images if key in masks}
    cases = _case_table(paths, preset)
    found: dict[str, _Found] = {}
    for key in sorted(images):
        _, _, case, stem = key
        entry = _Found(
            key,
            images[key],
            tuple(masks.get(key, ())),
            views[key][0] if key in views else None,
            case or cases.get(stem, ""),
        )
        if entry.masks:
            found.setdefault(entry.stem, entry)
        elif key[:2] in with_truth:
            listing.gaps.append(Gap(key[1], entry.stem, "mask"))
        else:  # no image of this part has one: it was published without truth
            listing.without_truth.append(entry.stem)
    listing.gaps.extend(Gap(key[1], "_".join(filter(None, key[2:])), "image") for key in sorted(masks.keys() - images))
    return list(found.values())


def _paths(folder: Path) -> list[Path]:
    """All files below a folder, by name, without what systems and archives leave lying about."""
    found: list[Path] = []
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not is_clutter(name)]  # where `os.walk` goes on
        found.extend(Path(root) / name for name in names if not is_clutter(name))
    return sorted(found)


def _matches(folder: Path, paths: list[Path], pattern: str) -> dict[Key, list[Path]]:
    compiled = re.compile(ABOVE + pattern)
    found: dict[Key, list[Path]] = {}
    for path in paths:
        match = compiled.fullmatch(path.relative_to(folder).as_posix())
        if match is not None:
            groups = {name: value or "" for name, value in match.groupdict().items()}
            key = (
                groups["part"],
                groups.get("split", ""),
                groups.get("case", ""),
                groups.get("stem") or groups["case"],
            )
            found.setdefault(key, []).append(path)
    return found


def _case_table(paths: list[Path], preset: DatasetPreset) -> dict[str, str]:
    """Cases by stem from the table that comes with some data sets; empty where it is not there."""
    if preset.case_table is None:
        return {}
    name, stem_column, case_column = preset.case_table
    table = next((path for path in paths if path.name == name), None)
    if table is None:
        return {}
    reader = csv.DictReader(io.StringIO(read_text(table, ImageError), newline=""))
    try:
        rows = [{(key or "").strip(): (value or "") for key, value in row.items()} for row in reader]
    except csv.Error as error:
        raise ImageError(f"{table} is no table ({error})", "Restore or remove it.") from None
    if not rows or not {stem_column, case_column} <= rows[0].keys():
        raise ImageError(f"{table} lacks the columns {stem_column!r} and {case_column!r}", "Restore or remove it.")
    return {row[stem_column].strip(): row[case_column].strip() for row in rows}


def _splits(folder: Path, preset: DatasetPreset, found: list[_Found], listing: Listing) -> dict[str, str]:
    if (folder / TABLE).is_file():
        table = read_split_table(folder / TABLE)
        listing.clashes.extend(table_clashes(table))
        rows = {row["stem"]: row["split"] for row in table}
        return {entry.stem: rows.get(entry.stem, "") for entry in found}
    unknown_matters = preset.split.unnamed_case is not None
    keys = {entry.stem: (entry.key[1], entry.case or ("" if unknown_matters else entry.stem)) for entry in found}
    divided = divide_cases(set(keys.values()), preset.split)
    return {stem: divided[key] for stem, key in keys.items()}


def _samples(entry: _Found, preset: DatasetPreset) -> list[Sample]:
    first, *others = entry.masks
    common = {
        "image": entry.image,
        "mask": first,
        "extra_masks": tuple(others),
        "field_of_view": entry.field_of_view,
        "case": entry.case,
        "labelling": preset.labelling,
        "neighbours": preset.neighbours,
    }
    if not preset.volumes:
        return [Sample(entry.stem, **common)]
    return [
        Sample(f"{entry.stem}_slice_{index:03d}", slice_index=index, **common)
        for index in range(count_slices(entry.image))
    ]
