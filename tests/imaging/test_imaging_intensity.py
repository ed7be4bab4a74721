"""The rule that turns deep values into 8 bits."""

from __future__ import annotations

import numpy as np
import pytest

from s2m_edge.errors import ConfigurationError, ImageError
from s2m_edge.imaging import intensity
from s2m_edge.imaging.intensity import Intensity, intensity_of, levels, spread, volume_ends


def test_by_default_a_slice_is_spread_from_its_smallest_to_its_largest_value():
    ramp = np.arange(0, 4096, 16, dtype=np.uint16).reshape(16, 16)
    assert np.array_equal(spread(ramp, Intensity()), np.floor(ramp * 255.0 / 4080 + 0.5).astype(np.uint8))


def test_percentiles_are_values_that_occur_by_nearest_rank():
    values = np.array([[0, 10, 20, 30, 1000]], dtype=np.int32)
    # Ranks floor(0.1 * 4 + 0.5) = 0 and floor(0.8 * 4 + 0.5) = 3.
    assert spread(values, Intensity(low=10, high=80)).tolist() == [[0, 85, 170, 255, 255]]


def test_percentiles_over_the_volume_keep_a_dark_slice_dark():
    volume = np.stack([np.full((8, 8), 10), np.full((8, 8), 1000)]).astype(np.int16)
    volume[:, 0, 0] = 0
    assert spread(volume[0], Intensity()).max() == 255
    assert spread(volume[0], Intensity(over="volume"), volume).max() == 3


def test_a_window_is_in_the_files_units_and_clips():
    soft = Intensity("window", -160, 240)
    assert spread(np.array([-1000, -160, 40, 240, 3000], np.int16), soft).tolist() == [0, 0, 128, 255, 255]


def test_nothing_between_low_and_high_is_black():
    assert levels(np.full((2, 2), 7, np.uint16), 7, 7).max() == 0


def test_the_largest_values_of_a_type_do_not_wrap():
    assert spread(np.array([0, 2**32 - 1], np.uint32), Intensity()).tolist() == [0, 255]
    assert spread(np.array([-(2**15), 2**15 - 1], np.int16), Intensity()).tolist() == [0, 255]
    assert spread(np.array([0, 60000], np.float16), Intensity()).tolist() == [0, 255]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(bad):
    with pytest.raises(ImageError, match="not finite"):
        spread(np.array([0.0, bad]), Intensity())
    with pytest.raises(ImageError, match="not finite"):
        spread(np.array([0.0, bad]), Intensity("window", 0, 1))


@pytest.mark.parametrize(
    "values",
    [
        {"low": float("nan")},
        {"low": 60.0, "high": 40.0},
        {"low": -1.0},
        {"high": 101.0},
        {"rule": "window", "low": 0.0, "high": 1e12},
        {"rule": "otsu"},
        {"over": "patient"},
    ],
)
def test_a_rule_without_sense_is_refused(values):
    with pytest.raises(ConfigurationError, match="the intensity has"):
        Intensity(**values)


def test_what_is_stored_is_read_back():
    rule = Intensity("window", -160.0, 240.0)
    assert intensity_of({"intensity": rule.to_dict()}) == rule
    assert intensity_of({}) == Intensity()
    with pytest.raises(ConfigurationError, match="Write rule, low, high"):
        intensity_of({"intensity": "display"})


@pytest.mark.parametrize("counted", [2**20, 4], ids=["counted", "by their bits"])
@pytest.mark.parametrize("dtype", ["int16", "uint8", "float32", "float64"])
@pytest.mark.parametrize("ends", [(0.0, 100.0), (1.0, 99.0), (37.5, 38.0)])
def test_percentiles_of_a_volume_slice_by_slice_are_those_of_the_whole(
    monkeypatch: pytest.MonkeyPatch, counted: int, dtype: str, ends: tuple[float, float]
):
    monkeypatch.setattr(intensity, "_COUNTED", counted)
    generator = np.random.default_rng(5)
    whole = (generator.normal(size=(6, 9, 8)) * 100).astype(dtype)
    whole[2] = 0
    whole[3, 0] = -whole[3, 0] * 0  # negative zeros too
    low, high = volume_ends(lambda: iter(whole), Intensity("percentiles", *ends))
    for plane in whole:
        due = spread(plane, Intensity("percentiles", *ends), whole)
        assert np.array_equal(levels(plane, low, high), due)


def test_a_value_of_a_volume_that_is_not_finite_is_refused():
    with pytest.raises(ImageError, match="not finite"):
        volume_ends(lambda: iter(np.array([[[1.0]], [[np.nan]]])), Intensity())
