"""Agreement of a predicted and a true mask, per class. MONAI computes; the conventions for empty masks are ours.

Where MONAI 1.6 answers nan (a class absent from prediction, truth or both), `measure` decides:

- absent from both: Dice, IoU, precision, recall and surface Dice 1, HD95 0;
- absent from one of them: Dice, IoU, precision, recall and surface Dice 0; HD95 undefined, which is nan here, null in
  JSON and empty in CSV. It is left out of means and counted.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DEFAULT_TOLERANCE = 2.0
HD_PERCENTILE = 95

CONVENTIONS = {
    "size": "every image's original size; distances in pixels",
    "class absent from prediction and truth": "Dice, IoU, precision, recall and surface Dice 1; HD95 0",
    "class absent from one of them": (
        "Dice, IoU, precision, recall and surface Dice 0; HD95 undefined (null), left out of its mean and counted"
    ),
    "background": "of several classes, class 0 is the background and is not scored",
    "image": "an image's figure is the mean over its classes, of HD95 over the classes where it is defined",
    "hd95": "the larger of the two directed 95th percentiles of boundary distances; the image's edge bounds a mask",
    "surface_dice": "share of both boundaries' pixels within the tolerance of the other boundary",
}

EVERY_PIXEL = "not asked for: every pixel of the image counts"
INSIDE = (
    "only pixels inside it count; outside it truth and prediction are background for every figure, areas and distances "
    "included, so that a mask that reaches beyond it ends at its edge"
)


@dataclass(frozen=True)
class Metric:
    """A figure's key in files, its title for people, and the digits that are worth printing."""

    name: str
    title: str
    digits: int = 3


METRICS = (
    Metric("dice", "Dice"),
    Metric("iou", "IoU"),
    Metric("precision", "precision"),
    Metric("recall", "recall"),
    Metric("hd95", "HD95 (pixels)", 1),
    Metric("surface_dice", "surface Dice"),
)


@dataclass(frozen=True)
class ClassFigures:
    """One class of one image.

    Attributes:
        values: by the names in `METRICS`: ratios in [0, 1], HD95 in pixels or nan where it is undefined.
        truth_pixels, predicted_pixels, common_pixels: areas, and that of their intersection.
    """

    values: Mapping[str, float]
    truth_pixels: int
    predicted_pixels: int
    common_pixels: int


def measure(
    prediction: NDArray[np.uint8], truth: NDArray[np.uint8], foreground: int, tolerance: float = DEFAULT_TOLERANCE
) -> tuple[ClassFigures, ...]:
    """The figures of every foreground class; see the module's docstring for empty masks.

    Args:
        prediction, truth: labels H x W, 0 for background, 1 to `foreground`.
        foreground: number of foreground classes.
        tolerance: of the surface Dice, in pixels, not negative.

    Source: Nikolov et al. 2018 (arXiv 1809.04430) for the surface Dice; MONAI's implementations of all.
    """
    import torch
    from monai.metrics import (
        compute_confusion_matrix_metric,
        compute_dice,
        compute_hausdorff_distance,
        compute_iou,
        compute_surface_dice,
        get_confusion_matrix,
    )

    labels = np.arange(1, foreground + 1, dtype=np.uint8)[:, None, None]
    found, expected = (
        torch.from_numpy((mask[None] == labels).astype(np.float32))[None] for mask in (prediction, truth)
    )
    confusion = get_confusion_matrix(found, expected)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of empty masks, which are decided below, and of MONAI's own deprecations
        tensors = {
            "dice": compute_dice(found, expected, ignore_empty=False),
            "iou": compute_iou(found, expected, ignore_empty=False),
            "precision": compute_confusion_matrix_metric("precision", confusion),
            "recall": compute_confusion_matrix_metric("recall", confusion),
            "hd95": compute_hausdorff_distance(found, expected, include_background=True, percentile=HD_PERCENTILE),
            "surface_dice": compute_surface_dice(found, expected, [tolerance] * foreground, include_background=True),
        }
    columns = {name: tensor[0].tolist() for name, tensor in tensors.items()}
    figures: list[ClassFigures] = []
    for index in range(foreground):
        areas = int(expected[0, index].sum()), int(found[0, index].sum())
        if all(areas):
            values = {metric.name: float(columns[metric.name][index]) for metric in METRICS}
        else:
            both_empty = not any(areas)
            values = {metric.name: float(both_empty) for metric in METRICS}
            values["hd95"] = 0.0 if both_empty else math.nan
        figures.append(ClassFigures(values, *areas, int((expected[0, index] * found[0, index]).sum())))
    return tuple(figures)
