"""One image with its truth: where the files lie, and how their values become labels. Needs no training library."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from s2m_edge.errors import ConfigurationError

SPLITS = ("train", "val", "test")
UNSPLIT = ""


@dataclass(frozen=True)
class Labelling:
    """How the stored values of a mask become labels; the value 0 is always background.

    Attributes:
        values: pairs of stored value and label.
        otherwise: the label of every other value that is not 0. None: such values are errors.
        colours: pairs of a colour, 0xRRGGBB, and its label: masks are then read by the colours that they show, black is
            background unless it is named, and every other colour is an error. Excludes `values`.
    """

    values: tuple[tuple[int, int], ...] = ()
    otherwise: int | None = None
    colours: tuple[tuple[int, int], ...] = ()


def parse_labelling(text: str | None) -> Labelling | None:
    """`--labels`: "#00ff00=1,#ff0000=2" of colours, or "10=1,20=2" of stored values; None where it was left out.

    Raises:
        ConfigurationError: it is neither, or both.
    """
    if text is None:
        return None
    colours: dict[int, int] = {}
    values: dict[int, int] = {}
    for entry in text.split(","):
        match = re.fullmatch(r"\s*(#[0-9a-fA-F]{6}|\d{1,3})\s*=\s*(\d{1,3})\s*", entry)
        shown, label = match.groups() if match else ("", "256")
        stored = int(shown[1:], 16) if shown.startswith("#") else int(shown or 256)
        known = colours if shown.startswith("#") else values
        if int(label) > 255 or (known is values and stored > 255) or known.get(stored, int(label)) != int(label):
            raise ConfigurationError(
                f"--labels has {entry.strip()!r}",
                'Write "#00ff00=1,#ff0000=2" for colours, or "10=1,20=2" for values: each once, labels 0 to 255.',
            )
        known[stored] = int(label)
    if (colours and values) or values.get(0, 0) != 0:
        raise ConfigurationError(
            f"--labels is {text!r}", "Name colours alone or values alone; the value 0 is always background."
        )
    return Labelling(tuple(values.items()), colours=tuple(colours.items()))


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


def with_labelling(samples: Sequence[Sample], labelling: Labelling | None) -> list[Sample]:
    """Samples whose masks are read by another labelling; None leaves theirs."""
    return list(samples) if labelling is None else [replace(sample, labelling=labelling) for sample in samples]


@dataclass(frozen=True)
class Gap:
    """An image without a mask, or a mask without an image."""

    split: str
    stem: str
    missing: Literal["image", "mask"]


@dataclass(frozen=True)
class Clash:
    """Files or rows that one stem names.

    Attributes:
        split: that they are of; None where they are of the whole data set.
        text: what is wrong.
        where: the files or rows.
    """

    split: str | None
    text: str
    where: str


@dataclass(frozen=True)
class Listing:
    """What a folder holds, whole or not.

    Attributes:
        samples: complete pairs by split; the split is UNSPLIT where nothing names one.
        gaps: incomplete pairs.
        unlisted: files that split.csv leaves out.
        without_truth: images of parts that are published without any mask.
        clashes: stems that name several files or rows.
    """

    samples: dict[str, list[Sample]] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)
    unlisted: list[str] = field(default_factory=list)
    without_truth: list[str] = field(default_factory=list)
    clashes: list[Clash] = field(default_factory=list)

    def add(self, split: str, sample: Sample) -> None:
        """Append to a split."""
        self.samples.setdefault(split, []).append(sample)

    def __iter__(self) -> Iterator[tuple[str, Sample]]:
        return ((split, sample) for split, samples in self.samples.items() for sample in samples)

    def __len__(self) -> int:
        return sum(len(samples) for samples in self.samples.values())
