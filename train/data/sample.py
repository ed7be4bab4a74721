"""One image with its truth: where the files lie, and how their values become labels. Needs no training library."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

SPLITS = ("train", "val", "test")
UNSPLIT = ""


@dataclass(frozen=True)
class Labelling:
    """How the stored values of a mask become labels; the value 0 is always background.

    Attributes:
        values: pairs of stored value and label.
        otherwise: the label of every other value that is not 0. None: such values are errors.
    """

    values: tuple[tuple[int, int], ...] = ()
    otherwise: int | None = None


FOREGROUND = Labelling(otherwise=1)
"""Whatever is not 0 is foreground: instance numbers, part numbers."""


@dataclass(frozen=True)
class Sample:
    """One image with its mask.

    Attributes:
        stem: names the sample within its data set.
        image, mask: files.
        slice_index: of volumes, along the last axis, in image and mask alike. None: a picture, or the middle slice.
        neighbours: slices on each side that become colour channels beside the sample's own (2.5-D).
        extra_masks: united with `mask`; where they overlap the larger label holds.
        field_of_view: a mask of what the camera saw, where one is published.
        case: patient, video or whatever else must not be on two sides of a split; empty where unknown.
        labelling: of the mask files. None: labels as they are; with one class 0/1 and 0/255 mean the same.
    """

    stem: str
    image: Path
    mask: Path
    slice_index: int | None = None
    neighbours: int = 0
    extra_masks: tuple[Path, ...] = ()
    field_of_view: Path | None = None
    case: str = ""
    labelling: Labelling | None = None

    @property
    def masks(self) -> tuple[Path, ...]:
        """All mask files."""
        return (self.mask, *self.extra_masks)


@dataclass(frozen=True)
class Gap:
    """An image without a mask, or a mask without an image."""

    split: str
    stem: str
    missing: Literal["image", "mask"]


@dataclass(frozen=True)
class Listing:
    """What a folder holds, whole or not.

    Attributes:
        samples: complete pairs by split; the split is UNSPLIT where nothing names one.
        gaps: incomplete pairs.
        unlisted: files that split.csv leaves out.
        without_truth: images of parts that are published without any mask.
    """

    samples: dict[str, list[Sample]] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)
    unlisted: list[str] = field(default_factory=list)
    without_truth: list[str] = field(default_factory=list)

    def add(self, split: str, sample: Sample) -> None:
        """Append to a split."""
        self.samples.setdefault(split, []).append(sample)

    def __iter__(self) -> Iterator[tuple[str, Sample]]:
        return ((split, sample) for split, samples in self.samples.items() for sample in samples)

    def __len__(self) -> int:
        return sum(len(samples) for samples in self.samples.values())
