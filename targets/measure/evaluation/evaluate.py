"""Running a network over the labelled images of a split."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from s2m_edge.errors import ImageError
from s2m_edge.targets.measure.evaluation.metrics import DEFAULT_TOLERANCE, ClassFigures, measure
from s2m_edge.targets.measure.evaluation.predictors import Predictor
from s2m_edge.train.data.folders import list_every_sample, list_samples
from s2m_edge.train.data.layouts import load_dataset
from s2m_edge.train.data.reading import (
    estimate_field_of_view,
    read_field_of_view,
    read_sample_image,
    read_sample_labels,
)
from s2m_edge.train.data.sample import Labelling, Sample, with_labelling

WORST_COUNT = 10
ALL_IMAGES = "all"
"""In place of a split: every image with its mask."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class ScoredField:
    """The field of view that an image was scored in.

    Attributes:
        pixels: inside it, at least one.
        published: read from a mask; otherwise estimated from the image.
    """

    pixels: int
    published: bool


@dataclass(frozen=True)
class ImageResult:
    """One image's figures, one entry per foreground class; `field` is None where every pixel counted."""

    name: str
    width: int
    height: int
    classes: tuple[ClassFigures, ...]
    field: ScoredField | None = None

    def figure(self, metric: str) -> float:
        """The mean over the classes where the figure is defined; nan where it is in none."""
        values = [entry.values[metric] for entry in self.classes if not math.isnan(entry.values[metric])]
        return sum(values) / len(values) if values else math.nan


@dataclass(frozen=True)
class ShownImage:
    """An image that is kept to be drawn: RGB H x W x 3, and labels H x W."""

    result: ImageResult
    image: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    prediction: NDArray[np.uint8]


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate_samples` found: every image's figures in the given order, and the worst by Dice, worst first."""

    images: tuple[ImageResult, ...]
    worst: tuple[ShownImage, ...]


def evaluate_samples(
    predictor: Predictor,
    samples: Sequence[Sample],
    tolerance: float = DEFAULT_TOLERANCE,
    progress: Progress = lambda step, done, total: None,
    field_of_view: bool = False,
) -> Evaluation:
    """Segment every image as the contract says and compare with its mask, in the image's original size.

    Args:
        samples: at least one.
        tolerance: of the surface Dice, in pixels.
        progress: called with the image's name, images done and in all.
        field_of_view: what lies outside the field of view becomes background, in truth and prediction, before they are
            compared; see `read_inside`.

    Raises:
        ImageError: an image or a mask cannot be read, or they do not fit each other or the network's classes.
        LoweringError: the artifact failed.
    """
    results: list[ImageResult] = []
    worst: list[ShownImage] = []
    for index, sample in enumerate(samples):
        progress(sample.image.name, index, len(samples))
        image = read_sample_image(sample, predictor.preprocessing.intensity)
        height, width = image.shape[:2]
        truth = read_truth(sample, predictor.channels, height, width)
        # Before the network runs, so that a field that does not fit costs no wait.
        inside = read_inside(sample, image) if field_of_view else None
        prediction = predictor.segment(image, sample.image.name)
        field: ScoredField | None = None
        if inside is not None:
            truth, prediction = truth * inside, prediction * inside
            field = ScoredField(int(inside.sum()), sample.field_of_view is not None)
        figures = measure(prediction, truth, len(predictor.classes), tolerance)
        results.append(ImageResult(sample.stem, width, height, figures, field))
        # Only the worst are kept: a split's pictures would not fit in memory. Sorting is stable, so ties keep order.
        worst.append(ShownImage(results[-1], image, truth, prediction))
        worst = sorted(worst, key=lambda shown: shown.result.figure("dice"))[:WORST_COUNT]
    progress("", len(samples), len(samples))
    return Evaluation(tuple(results), tuple(worst))


def split_samples(
    folder: Path, split: str, preset: str | None = None, labelling: Labelling | None = None
) -> list[Sample]:
    """The samples of one split of an image folder, or of a published data set in the layout of a preset.

    Args:
        split: train, val or test; `ALL_IMAGES` for all of them, also of a folder without a split.
        labelling: of the masks, instead of the preset's.

    Raises:
        ImageError: the folder, the split or a file of it is missing.
        ConfigurationError: there is no such preset.
    """
    if preset is None:
        listed = list_every_sample(folder) if split == ALL_IMAGES else list_samples(folder, split)
        return with_labelling(listed, labelling)
    found = load_dataset(folder, preset)
    if split == ALL_IMAGES:
        return with_labelling([sample for part in found.values() for sample in part], labelling)
    if not found.get(split):
        raise ImageError(
            f"{folder} has no images of the split {split!r}",
            f"It has {', '.join(name for name in found if found[name])}.",
        )
    return with_labelling(found[split], labelling)


def read_truth(sample: Sample, channels: int, height: int, width: int) -> NDArray[np.uint8]:
    """A sample's labels, height x width, checked against its image and the network.

    Raises:
        ImageError: unreadable, of another size than the image, or with labels that the network has no class for.
    """
    truth = read_sample_labels(sample, channels)
    if truth.shape != (height, width):
        raise ImageError(
            f"{sample.mask} is {truth.shape[1]} x {truth.shape[0]} pixels and its image {sample.image.name} "
            f"{width} x {height}",
            "Save the mask in the image's size.",
        )
    return truth


def read_inside(sample: Sample, image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where a sample's image is scored, H x W: inside its published field of view, or else an estimate of it.

    Args:
        image: the sample's own, RGB, H x W x 3.

    Raises:
        ImageError: the published mask is unreadable, empty, or of another size than the image.
    """
    if sample.field_of_view is None:
        return estimate_field_of_view(image)
    inside = read_field_of_view(sample)
    if inside.shape != image.shape[:2]:
        raise ImageError(
            f"{sample.field_of_view} is {inside.shape[1]} x {inside.shape[0]} pixels and its image {sample.image.name} "
            f"{image.shape[1]} x {image.shape[0]}",
            "Save the field of view in the image's size, or leave --field-of-view out.",
        )
    if not inside.any():
        raise ImageError(
            f"{sample.field_of_view} is empty: nothing of {sample.image.name} is inside the field of view",
            "Restore the file, or leave --field-of-view out.",
        )
    return inside
