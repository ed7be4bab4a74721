"""Windows: where they lie, how they are weighed, and that a picture of any size costs the memory of a strip."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from s2m_edge.errors import ConfigurationError, ImageError
from s2m_edge.imaging.preprocess import Preprocessing, network_input, segment
from s2m_edge.imaging.window import LEAST_WEIGHT, Window, bands, crop, positions, weights, window_count


@pytest.mark.parametrize(
    ("length", "side", "overlap", "expected"),
    [
        (5, 16, 0.5, [0]),
        (16, 16, 0.5, [0]),
        (17, 16, 0.5, [0, 1]),
        (24, 16, 0.5, [0, 8]),
        (25, 16, 0.5, [0, 8, 9]),
        (40, 16, 0.0, [0, 16, 24]),
        (40, 16, 0.75, [0, 4, 8, 12, 16, 20, 24]),
        (20, 15, 0.3, [0, 5]),
    ],
)
def test_windows_begin_every_step_and_the_last_one_ends_with_the_picture(length, side, overlap, expected):
    assert positions(length, side, overlap) == expected


def test_every_pixel_is_covered_and_counts():
    for length in range(1, 90):
        covered = np.zeros(max(length, 16))
        for first in positions(length, 16, 0.5):
            covered[first : first + 16] += 1
        assert covered.min() >= 1
    assert weights(16, 20, 0.125).min() == LEAST_WEIGHT
    assert weights(15, 15, 0.125)[7, 7] == 1.0


def test_a_small_picture_lies_in_the_middle_of_black():
    picture = np.full((3, 4, 3), 200, dtype=np.uint8)
    window = crop(picture, 0, 0, (6, 9))
    assert window[1:4, 2:6].min() == 200
    assert window.sum() == picture.sum()
    given = Preprocessing(6, 9, window=Window())
    np.testing.assert_array_equal(network_input(picture, given), window)


def test_a_picture_of_a_hundred_million_pixels_takes_the_memory_of_a_strip():
    class Long:
        """A picture that exists only where it is looked at."""

        shape = (400_000, 250, 3)

        def __getitem__(self, key):
            rows, columns = key
            return np.full((rows.stop - rows.start, columns.stop - columns.start, 3), 7, dtype=np.uint8)

    seen = 0
    tracemalloc.start()
    for top, part in bands(
        lambda window: np.full((1, 2048, 128), 0.25, np.float32),
        Long(),  # type: ignore[arg-type]
        (2048, 128),
        Window(overlap=0.0),
    ):
        assert top == seen
        seen += part.shape[1]
        assert np.all(part == 0.25)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seen == 400_000
    assert peak < 64 * 2**20


def test_a_picture_whose_strip_alone_is_too_large_is_refused():
    picture = np.zeros((1, 3_000_000, 3), dtype=np.uint8)
    with pytest.raises(ImageError, match="too much memory"):
        next(bands(lambda window: np.zeros((1, 64, 64), np.float32), picture, (64, 64), Window()))


def test_progress_counts_windows_and_what_it_raises_stops_the_network():
    picture = np.zeros((40, 40, 3), dtype=np.uint8)
    given = Preprocessing(16, 16, window=Window())
    calls: list[tuple[int, int]] = []
    segment(lambda fitted: np.zeros((1, 16, 16), np.float32), picture, given, 0.5, lambda *step: calls.append(step))
    total = window_count(40, 40, (16, 16), Window())
    assert calls == [(done, total) for done in range(total + 1)]

    class EnoughError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done == 3:
            raise EnoughError

    asked: list[int] = []
    with pytest.raises(EnoughError):
        segment(lambda fitted: asked.append(1) or np.zeros((1, 16, 16), np.float32), picture, given, 0.5, stop)  # type: ignore[func-returns-value]
    assert len(asked) == 3


@pytest.mark.parametrize(
    ("overlap", "sigma"), [(-0.1, 0.125), (0.76, 0.125), (np.nan, 0.125), (0.5, 0.0), (0.5, 11.0), (0.5, np.nan)]
)
def test_a_window_out_of_range_is_refused(overlap: float, sigma: float):
    with pytest.raises(ConfigurationError, match="the window has an overlap of"):
        Window(overlap, sigma)
