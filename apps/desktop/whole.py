"""All slices of a study together, once each is segmented: its labels, and what is measured of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from s2m_edge.apps.desktop.engine import Segmentation, labels_of
from s2m_edge.imaging.classes import SegmentClass
from s2m_edge.imaging.grid import Grid
from s2m_edge.imaging.results.figures import ClassFigures, measure
from s2m_edge.imaging.scratch import scratch_array


def slice_figures(labels: NDArray[np.uint8], grid: Grid, classes: Sequence[SegmentClass]) -> tuple[ClassFigures, ...]:
    """What is measured of one slice.

    Args:
        labels: rows x columns.
        grid: of that slice alone.
    """
    return measure(labels[None], grid, classes)


def study_figures(
    grid: Grid,
    segmented: Mapping[int, Segmentation],
    threshold: float,
    classes: Sequence[SegmentClass],
    step: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[ClassFigures, ...]:
    """What is measured of all slices of a study.

    Its labels, a byte for each pixel, lie in a temporary file where they are many.

    Args:
        segmented: by the number of the slice, all of them.
        threshold: probability that counts as foreground.
        step: called with slices done and in all; what it raises ends the work.

    Raises:
        OutputError: the folder for temporary files has no room for the labels.
    """
    labels = scratch_array((grid.slices, grid.rows, grid.columns))
    for index in range(grid.slices):
        step(index, grid.slices)
        labels[index] = labels_of(segmented[index].in_picture_size(), threshold)
    return measure(labels, grid, classes)
