"""What is wrong with a data set, before an hour of training finds out. Needs no training library."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from s2m_edge import interrupts
from s2m_edge.errors import ConfigurationError, ImageError, S2MEdgeError, in_one_line
from s2m_edge.imaging.folders import PICTURE_SUFFIXES
from s2m_edge.imaging.masks import orientation
from s2m_edge.train.data.folders import SPLITS, scan_folder
from s2m_edge.train.data.layouts import scan_dataset
from s2m_edge.train.data.reading import read_sample_image, read_sample_labels
from s2m_edge.train.data.sample import UNSPLIT, Labelling, Listing, Sample
from s2m_edge.train.data.values import Severity, judge_values
from s2m_edge.train.data.volumes import read_label_file

Update = Callable[[str, int, int], None]
Kind = Literal[
    "unreadable", "missing mask", "missing image", "size", "labels", "duplicate", "case on two sides", "split",
    "empty mask", "not listed", "published without truth", "cases unknown", "same name", "orientation",
]  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """Something found.

    Attributes:
        kind: of the finding.
        severity: a problem spoils training or its figures; a note is worth knowing.
        text: one sentence.
        where: the samples or files it holds for.
    """

    kind: Kind
    severity: Severity
    text: str
    where: tuple[str, ...] = ()


@dataclass
class SplitFigures:
    """One split in figures.

    Attributes:
        images: readable ones.
        cases: how many, where known.
        empty: masks without foreground.
        pixels: of each class, the background first; masks with odd values are left out.
        occurs: images in which each class occurs.
    """

    images: int = 0
    cases: int = 0
    empty: int = 0
    pixels: list[int] = field(default_factory=list)
    occurs: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class DataReport:
    """The result of `check_dataset`."""

    folder: str
    preset: str | None
    classes: int
    split_rule: str
    findings: tuple[Finding, ...]
    splits: dict[str, SplitFigures]

    @property
    def clean(self) -> bool:
        """Whether no finding is a problem."""
        return all(finding.severity != "problem" for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {**asdict(self), "clean": self.clean}


def check_dataset(
    folder: Path,
    preset: str | None = None,
    classes: int | None = None,
    case_pattern: str | None = None,
    update: Update | None = None,
    labelling: Labelling | None = None,
) -> DataReport:
    """Read everything and report what is wrong.

    Args:
        folder: an image folder, or with `preset` a published data set.
        classes: of the network; the preset's, or one, by default.
        case_pattern: a regular expression whose match within a stem names the patient, for folders that name none.
        labelling: of the masks, instead of the preset's.

    Raises:
        ImageError: the folder is not there or has no such layout.
        ConfigurationError: no such preset, a wrong pattern, or fewer than one class.
    """
    tell = update or (lambda step, done, total: None)
    rule = "split.csv or folders"
    if preset is None:
        listing = scan_folder(folder)
    else:
        from s2m_edge.train.data.presets import find_preset

        wanted = find_preset(preset)
        classes = wanted.classes if classes is None else classes
        listing = scan_dataset(folder, preset, update)
        rule = "split.csv" if (folder / "split.csv").is_file() else wanted.split.statement
    count = 1 if classes is None else classes
    if not 1 <= count <= 256:
        raise ConfigurationError(f"{count} classes are impossible", "Give --classes 1 to 256, background included.")
    inspection = _Inspection(folder, count, _case_rule(case_pattern))
    for done, (split, sample) in enumerate(listing):
        tell(sample.stem, done, len(listing))
        inspection.inspect(split, sample if labelling is None else replace(sample, labelling=labelling))
    findings = [*_listing_findings(listing), *inspection.findings()]
    ordered = sorted(findings, key=lambda finding: finding.severity == "note")
    return DataReport(str(folder), preset, count, rule, tuple(ordered), inspection.ordered_splits())


def _case_rule(pattern: str | None) -> Callable[[Sample], str]:
    if pattern is None:
        return lambda sample: sample.case
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ConfigurationError(f"{pattern!r} is no regular expression ({error})", "Mend --case-pattern.") from None

    def case(sample: Sample) -> str:
        found = compiled.search(sample.stem)
        return sample.case if found is None else "/".join(filter(None, found.groups())) or found.group()

    return case


def _listing_findings(listing: Listing) -> list[Finding]:
    found: list[Finding] = []

    def add(kind: Kind, severity: Severity, text: str, where: Iterable[str]) -> None:
        names = tuple(where)
        if names:
            found.append(Finding(kind, severity, text, names))

    gaps = [(gap.missing, f"{gap.split}/{gap.stem}".lstrip("/")) for gap in listing.gaps]
    add("missing mask", "problem", "images without a mask", (name for missing, name in gaps if missing == "mask"))
    add(
        "missing image", "problem", "masks, or rows, without an image", (name for miss, name in gaps if miss == "image")
    )
    for text in dict.fromkeys(clash.text for clash in listing.clashes):
        add("same name", "problem", text, (clash.where for clash in listing.clashes if clash.text == text))
    add("not listed", "note", "files that split.csv leaves out", listing.unlisted)
    add("published without truth", "note", "images of parts that hold no masks", listing.without_truth)
    odd = [split for split in listing.samples if split not in (*SPLITS, UNSPLIT)]
    add("split", "problem", f"splits that nothing reads; they are {', '.join(SPLITS)}", odd)
    if UNSPLIT in listing.samples:
        text = "there is no split; write split.csv with the columns stem,split"
        found.append(Finding("split", "problem", text))
    else:
        missing = [split for split in SPLITS if split not in listing.samples]
        add(
            "split", "problem" if "train" in missing and "test" in missing else "note", "splits without images", missing
        )
    return found


def _may_say_orientation(path: Path) -> bool:
    return path.name.lower().endswith(PICTURE_SUFFIXES)


class _Inspection:
    """What reading sample after sample brings to light."""

    def __init__(self, folder: Path, classes: int, case: Callable[[Sample], str]) -> None:
        self.folder, self.classes, self.case = folder, classes, case
        self.noted: dict[tuple[Kind, Severity, str], list[str]] = {}
        self.splits: dict[str, SplitFigures] = {}
        self.cases: dict[str, set[str]] = {}
        self.pictures: dict[str, list[tuple[str, str]]] = {}

    def note(self, kind: Kind, severity: Severity, text: str, where: str) -> None:
        self.noted.setdefault((kind, severity, text), []).append(where)

    def inspect(self, split: str, sample: Sample) -> None:
        shown = max(2, self.classes)
        figures = self.splits.setdefault(split, SplitFigures(0, 0, 0, [0] * shown, [0] * shown))
        if case := self.case(sample):
            self.cases.setdefault(case, set()).add(split)
        try:
            image = self._image(split, sample)
            shape, labels = self._labels(sample)
            if image is None or shape is None:
                return
            with suppress(ImageError):  # what could be read and is no picture, but DICOM by another name, says none
                self._orientation(sample)
            self._count(figures, sample, image, shape, labels)
        except S2MEdgeError as error:
            self.note("unreadable", "problem", "files that cannot be read", str(error))
        except MemoryError:
            self.note("unreadable", "problem", "files that do not fit in memory", self._name(sample.mask, sample))
        except Exception as error:  # a decoder's own; one file must not keep the others from being checked
            interrupts.heed(error)
            self.note("unreadable", "problem", "files that cannot be read", f"{sample.stem} ({in_one_line(error)})")

    def _count(
        self,
        figures: SplitFigures,
        sample: Sample,
        image: NDArray[np.uint8],
        shape: tuple[int, ...],
        labels: NDArray[np.uint8] | None,
    ) -> None:
        figures.images += 1
        if image.shape[:2] != shape:
            sizes = f"{image.shape[1]} x {image.shape[0]}, {shape[1]} x {shape[0]}"
            self.note("size", "problem", "image and mask differ in size", f"{sample.stem} ({sizes})")
        if labels is None:
            return
        counts = np.bincount(labels.ravel(), minlength=len(figures.pixels))
        for index, pixels in enumerate(counts):
            figures.pixels[index] += int(pixels)
            figures.occurs[index] += int(pixels > 0)
        if counts[1:].sum() == 0:
            figures.empty += 1
            self.note("empty mask", "note", "masks without foreground", sample.stem)

    def _orientation(self, sample: Sample) -> None:
        """Of image and mask one says which way up it is, and the other is of the size that the first is stored in."""
        if not _may_say_orientation(sample.image):
            return
        turn, stored = orientation(sample.image)
        for path in filter(_may_say_orientation, sample.masks):
            mask_turn, mask_stored = orientation(path)
            if (turn == 1) == (mask_turn == 1) or mask_stored != stored:
                continue
            which = "the image says" if mask_turn == 1 else "the mask says"
            text = (
                f"{which} which way up it is (EXIF orientation) and the other does not: they may be turned against "
                "each other; save both upright"
            )
            self.note("orientation", "problem", text, self._name(path, sample))

    def _image(self, split: str, sample: Sample) -> NDArray[np.uint8] | None:
        try:
            image = read_sample_image(sample)
        except ImageError as error:
            self.note("unreadable", "problem", "files that cannot be read", str(error))
            return None
        if image.min() != image.max():  # blank slices are alike in every volume
            digest = hashlib.sha256(repr(image.shape).encode() + image.tobytes()).hexdigest()
            self.pictures.setdefault(digest, []).append((split, sample.stem))
        return image

    def _labels(self, sample: Sample) -> tuple[tuple[int, ...] | None, NDArray[np.uint8] | None]:
        """Size and labels, each None where it cannot be had."""
        shape: tuple[int, ...] | None = None
        odd = False
        try:
            for path in sample.masks:
                colours = () if sample.labelling is None else sample.labelling.colours
                values = read_label_file(path, sample.slice_index, colours, sample.image)
                shape = values.shape
                verdict = judge_values(values, self.classes, sample.labelling)
                if verdict is not None:
                    odd = odd or verdict.severity == "problem"
                    self.note("labels", verdict.severity, verdict.text, self._name(path, sample))
        except ImageError as error:
            self.note("unreadable", "problem", "files that cannot be read", str(error))
            return None, None
        if odd:
            return shape, None
        try:
            return shape, read_sample_labels(sample, self.classes)
        except ImageError as error:  # values and files are in order, so what is left is their sizes
            self.note("size", "problem", "masks of one image differ in size", error.cause)
            return None, None

    def _name(self, path: Path, sample: Sample) -> str:
        inside = path.relative_to(self.folder).as_posix()
        return inside if sample.slice_index is None else f"{inside}, slice {sample.slice_index}"

    def findings(self) -> list[Finding]:
        found = [Finding(kind, severity, text, tuple(where)) for (kind, severity, text), where in self.noted.items()]
        within, across = [], []
        for copies in self.pictures.values():
            if len(copies) > 1:
                several = len({split for split, _ in copies}) > 1
                (across if several else within).append(
                    " = ".join(f"{split}/{stem}".lstrip("/") for split, stem in copies)
                )
        if across:
            found.append(Finding("duplicate", "problem", "the same picture on two sides of the split", tuple(across)))
        if within:
            found.append(Finding("duplicate", "note", "the same picture twice on one side", tuple(within)))
        torn = [f"{case} ({', '.join(sorted(splits))})" for case, splits in self.cases.items() if len(splits) > 1]
        if torn:
            found.append(Finding("case on two sides", "problem", "one case on two sides of the split", tuple(torn)))
        if not self.cases:
            text = "nothing names patients; whether one is on two sides was not checked (see --case-pattern)"
            found.append(Finding("cases unknown", "note", text))
        return found

    def ordered_splits(self) -> dict[str, SplitFigures]:
        for split, figures in self.splits.items():
            figures.cases = sum(split in splits for splits in self.cases.values())
        known = [split for split in SPLITS if split in self.splits]
        others = [split for split in self.splits if split not in SPLITS]
        return {split or "all": self.splits[split] for split in [*known, *others]}
