"""Intervals cover what they promise, and undefined figures are left out and counted."""

from __future__ import annotations

import math

import numpy as np
import pytest

from s2m_edge.targets.measure.evaluation.intervals import bootstrap_interval, summarise


def test_the_interval_of_a_mean_agrees_with_the_normal_approximation():
    values = np.random.default_rng(3).normal(0.7, 0.1, 400)
    low, high = bootstrap_interval(values, np.mean) or (math.nan, math.nan)
    half = 1.96 * values.std() / math.sqrt(len(values))
    assert low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_ninety_five_of_a_hundred_intervals_hold_the_true_mean():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(300):
        low, high = bootstrap_interval(rng.beta(5, 2, 60), np.mean, resamples=500) or (math.nan, math.nan)
        held += low <= 5 / 7 <= high
    assert 0.90 <= held / 300 <= 0.98


def test_the_same_values_give_the_same_interval_whatever_the_blocks(monkeypatch):
    from s2m_edge.targets.measure.evaluation import intervals

    values = np.random.default_rng(1).random(50)
    whole = bootstrap_interval(values, np.median)
    assert bootstrap_interval(values, np.median) == whole
    assert bootstrap_interval(values, np.median, seed=1) != whole
    monkeypatch.setattr(intervals, "BLOCK", 500)
    assert bootstrap_interval(values, np.median) == whole


def test_undefined_figures_are_left_out_and_counted():
    found = summarise(np.array([1.0, math.nan, 3.0, 8.0, math.nan]))
    assert (found.mean, found.median) == (4.0, 3.0)
    assert (found.images, found.undefined) == (3, 2)
    assert found.mean_interval is not None
    assert 1 <= found.mean_interval[0] < 4 < found.mean_interval[1] <= 8


def test_one_image_has_no_interval_and_none_has_no_mean():
    assert summarise(np.array([0.5])).mean_interval is None
    assert summarise(np.array([0.5])).mean == 0.5
    assert summarise(np.array([math.nan])).mean is None
    assert summarise(np.array([math.nan])).undefined == 1
