"""A sample's pictures: image, labels and field of view, as arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from s2m_edge.errors import ImageError
from s2m_edge.imaging.intensity import Intensity
from s2m_edge.imaging.read import DEFAULT_INTENSITY
from s2m_edge.train.data.folders import binary_labels, require_classes, resize_labels
from s2m_edge.train.data.sample import Labelling, Sample
from s2m_edge.train.data.volumes import read_label_file, read_picture


def read_sample_image(sample: Sample, intensity: Intensity = DEFAULT_INTENSITY) -> NDArray[np.uint8]:
    """The image in its own size, RGB, H x W x 3, uint8; deeper values by the network's rule.

    Raises:
        ImageError: the file cannot be read.
    """
    return read_picture(sample.image, sample.slice_index, sample.neighbours, intensity)


def read_sample_labels(sample: Sample, classes: int, size: int | None = None) -> NDArray[np.uint8]:
    """The labels of a sample, all its mask files united, H x W or size x size.

    Args:
        classes: of the network: 1 gives 0 and 1; more gives 0 to classes - 1, background 0.

    Raises:
        ImageError: a file cannot be read, two masks of the sample differ in size, or a value has no class.
    """
    united: NDArray[np.uint8] | None = None
    for path in sample.masks:
        labelling = sample.labelling
        colours = () if labelling is None else labelling.colours
        values = read_label_file(path, sample.slice_index, colours, sample.image)
        if labelling is not None:
            labels = values if labelling.colours else apply_labelling(values, labelling, path)
            labels = (labels > 0).astype(np.uint8) if classes == 1 else labels
        else:
            labels = binary_labels(values, path) if classes == 1 else values
        if classes > 1:
            require_classes(labels, classes, path)
        if united is not None and united.shape != labels.shape:
            raise ImageError(f"{path} has another size than {sample.mask}", "Masks of one image have one size.")
        united = labels if united is None else np.maximum(united, labels)
    assert united is not None
    return resize_labels(united, classes, size)


def apply_labelling(values: NDArray[np.uint8], labelling: Labelling, path: Path) -> NDArray[np.uint8]:
    """Stored values to labels, both H x W, uint8.

    Raises:
        ImageError: a value that the labelling does not know.
    """
    table = np.full(256, -1 if labelling.otherwise is None else labelling.otherwise, np.int16)
    table[0] = 0
    for stored, label in labelling.values:
        table[stored] = label
    labels = table[values]
    if labels.min() < 0:
        raise ImageError(
            f"{path} holds the value {int(values[labels < 0].min())}, which stands for no class",
            f"Known are 0 and {', '.join(str(stored) for stored, _ in labelling.values)}.",
        )
    return labels.astype(np.uint8)


def read_field_of_view(sample: Sample) -> NDArray[np.bool_]:
    """What the camera saw, H x W: the published mask, or else an estimate from the image.

    Raises:
        ImageError: the file cannot be read.
    """
    if sample.field_of_view is not None:
        return binary_labels(read_label_file(sample.field_of_view), sample.field_of_view).astype(bool)
    return estimate_field_of_view(read_sample_image(sample))


def estimate_field_of_view(image: NDArray[np.uint8], darkest: int = 20) -> NDArray[np.bool_]:
    """The bright disc of a fundus photograph, H x W, for data sets that publish no mask of it.

    Bright is where red exceeds `darkest` (the fundus is red; its surroundings are black but for the compression's
    noise). Between the outermost bright pixels of a row and of a column everything is inside, so that dark vessels are;
    rows and columns with little brightness are noise. All of an image without a dark surround is inside.
    """
    bright = image[..., 0] > darkest
    height, width = bright.shape
    bright &= (bright.sum(axis=1) > width // 50)[:, None] & (bright.sum(axis=0) > height // 50)[None]
    if not bright.any():
        return np.ones((height, width), dtype=bool)
    return _spanned(bright) & _spanned(bright.T).T


def _spanned(bright: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Each row filled from its first to its last set pixel."""
    after = np.logical_or.accumulate(bright, axis=1)
    before = np.logical_or.accumulate(bright[:, ::-1], axis=1)[:, ::-1]
    return after & before
