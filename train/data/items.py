"""Samples, and pictures without masks, as the items that a data module holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from s2m_edge.errors import ImageError
from s2m_edge.imaging.folders import stem_of
from s2m_edge.imaging.intensity import Intensity
from s2m_edge.imaging.preprocess import LUMA, Preprocessing, fit_to_network
from s2m_edge.imaging.read import DEFAULT_INTENSITY
from s2m_edge.train.data.folders import resize_labels
from s2m_edge.train.data.patches import FIELD
from s2m_edge.train.data.reading import (
    estimate_field_of_view,
    read_field_of_view,
    read_sample_image,
    read_sample_labels,
)
from s2m_edge.train.data.sample import Sample
from s2m_edge.train.data.volumes import read_picture

Item = dict[str, Any]
LABELLED = "labelled"
"""Whether an item's mask says anything; in batches of data with unlabelled pictures alone."""


def load_sample(
    sample: Sample,
    size: int,
    channels: int,
    classes: int = 1,
    *,
    native: bool = False,
    enhance: bool = False,
    intensity: Intensity = DEFAULT_INTENSITY,
) -> Item:
    """One sample: "image" C x size x size and "mask" 1 x size x size (labels), uint8, and "stem".

    Args:
        native: keep the picture's own H x W instead, and add "field_of_view", 1 x H x W of 0 and 1.
        enhance: see `enhance_vessels`, and why not.
        intensity: how values of more than 8 bits become 8.

    Raises:
        ImageError: a file cannot be read, image and mask differ in size, or a label has no class.
    """
    image = read_sample_image(sample, intensity)
    labels = read_sample_labels(sample, classes)
    if labels.shape != image.shape[:2]:
        raise ImageError(
            f"{sample.mask} is {labels.shape[1]} x {labels.shape[0]} and its image {image.shape[1]} x {image.shape[0]}",
            "Image and mask need one size; s2m-edge data check lists all that differ.",
        )
    view = read_field_of_view(sample) if native else None
    return _item(sample.stem, image, labels, view, size, channels, classes, enhance)


def load_unlabelled(
    path: Path,
    size: int,
    channels: int,
    *,
    native: bool = False,
    enhance: bool = False,
    intensity: Intensity = DEFAULT_INTENSITY,
) -> Item:
    """A picture without a mask: as `load_sample` gives one, every label 0, and LABELLED is False.

    Raises:
        ImageError: the file cannot be read.
    """
    image = read_picture(path, intensity=intensity)
    view = estimate_field_of_view(image) if native else None
    labels = np.zeros(image.shape[:2], np.uint8)
    return {**_item(stem_of(path), image, labels, view, size, channels, 1, enhance), LABELLED: False}


def _item(
    stem: str,
    image: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    view: NDArray[np.bool_] | None,
    size: int,
    channels: int,
    classes: int,
    enhance: bool,
) -> Item:
    """Arrays as an item: of their own size with a field of view, else of the network's."""
    if enhance:
        from s2m_edge.train.data.enhance import enhance_vessels

        image = enhance_vessels(image)
    if view is not None:
        fitted = _with_channels(image, channels)
    else:
        fitted = fit_to_network(image, Preprocessing(size, size, channels))
        labels = resize_labels(labels, classes, size)
    item: Item = {
        "image": torch.from_numpy(fitted.transpose(2, 0, 1).copy()),
        "mask": torch.from_numpy(labels[None].copy()),
        "stem": stem,
    }
    if view is not None:
        item[FIELD] = torch.from_numpy(view[None].astype(np.uint8))
    return item


def load_samples(samples: list[Sample], size: int, channels: int, classes: int = 1, **options: Any) -> list[Item]:
    """All samples in memory, each as `load_sample` gives it."""
    return [load_sample(sample, size, channels, classes, **options) for sample in samples]


def _with_channels(image: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    """H x W x 3 to H x W x channels, grey as the contract has it."""
    if channels == 3:
        return image
    return np.floor(image.astype(np.float32) @ LUMA + 0.5).astype(np.uint8)[..., None]
