"""The figures are what their definitions say, also where a class is absent."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from numpy.typing import NDArray

from s2m_edge.targets.measure.evaluation.metrics import METRICS, measure


def square(top: int, left: int, side: int, label: int = 1, size: int = 64) -> NDArray[np.uint8]:
    labels = np.zeros((size, size), np.uint8)
    labels[top : top + side, left : left + side] = label
    return labels


def boundary(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Coordinates of the pixels with a 4-neighbour outside the mask; beyond the image is outside."""
    padded = np.pad(mask, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return np.argwhere(mask & ~inner)


def nearest(points: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.sqrt(((points[:, None] - others[None]) ** 2).sum(axis=2)).min(axis=1)


def test_overlap_of_nested_squares():
    figures = measure(square(10, 10, 20), square(15, 15, 10), 1)[0]
    assert figures.values["dice"] == pytest.approx(200 / 500)
    assert figures.values["iou"] == pytest.approx(100 / 400)
    assert figures.values["precision"] == pytest.approx(100 / 400)
    assert figures.values["recall"] == 1
    assert (figures.truth_pixels, figures.predicted_pixels) == (100, 400)


def test_a_shift_within_the_tolerance_costs_no_surface_dice():
    moved, truth = square(10, 14, 20), square(10, 10, 20)
    assert measure(moved, truth, 1, tolerance=4.0)[0].values["surface_dice"] == 1
    assert measure(moved, truth, 1, tolerance=3.9)[0].values["surface_dice"] < 1
    assert measure(moved, truth, 1)[0].values["hd95"] == pytest.approx(4.0)


@pytest.mark.parametrize("seed", range(3))
def test_distances_agree_with_every_pair_of_boundary_pixels(seed: int):
    """Against the definitions, by brute force, on ragged masks that also touch the image's edge."""
    rng = np.random.default_rng(seed)
    coarse = rng.random((2, 8, 8)) < 0.4
    found, truth = (np.kron(mask, np.ones((6, 6), bool)) ^ (rng.random((48, 48)) < 0.02) for mask in coarse)
    there, back = nearest(boundary(found), boundary(truth)), nearest(boundary(truth), boundary(found))
    values = measure(found.astype(np.uint8), truth.astype(np.uint8), 1, tolerance=2.0)[0].values
    assert values["hd95"] == pytest.approx(max(np.percentile(there, 95), np.percentile(back, 95)), rel=1e-5)
    within = (there <= 2).sum() + (back <= 2).sum()
    assert values["surface_dice"] == pytest.approx(within / (len(there) + len(back)), rel=1e-5)


EMPTY, SOME = np.zeros((64, 64), np.uint8), square(10, 10, 20)


def test_two_empty_masks_agree():
    values = measure(EMPTY, EMPTY, 1)[0].values
    assert {name: value for name, value in values.items() if name != "hd95"} == dict.fromkeys(
        ("dice", "iou", "precision", "recall", "surface_dice"), 1.0
    )
    assert values["hd95"] == 0


@pytest.mark.parametrize(("prediction", "truth"), [(EMPTY, SOME), (SOME, EMPTY)], ids=["missed", "invented"])
def test_one_empty_mask_scores_nothing_and_has_no_distance(prediction, truth):
    values = measure(prediction, truth, 1)[0].values
    assert math.isnan(values["hd95"])
    assert all(value == 0 for name, value in values.items() if name != "hd95")


def test_classes_are_scored_apart_and_the_background_is_not():
    truth = square(10, 10, 20) + square(40, 40, 10, label=2)
    prediction = square(10, 10, 20) + square(5, 45, 10, label=3)
    right, missed, invented, absent = measure(prediction, truth, 4)
    assert right.values["dice"] == right.values["surface_dice"] == 1
    assert missed.values["dice"] == missed.values["recall"] == 0
    assert (missed.truth_pixels, missed.predicted_pixels) == (100, 0)
    assert (invented.truth_pixels, invented.predicted_pixels) == (0, 100)
    assert absent.values["dice"] == 1
    assert {metric.name for metric in METRICS} == set(absent.values)


def test_empty_masks_are_no_occasion_for_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        measure(EMPTY, SOME, 2)
