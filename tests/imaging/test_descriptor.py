"""What a picture looks like in a few dozen numbers: what each of them answers to."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from s2m_edge.imaging.descriptor import describe, descriptor_length
from s2m_edge.imaging.preprocess import Preprocessing, fit_to_network
from s2m_edge.imaging.read import read_image
from s2m_edge.samples import sample_images

BANDS = 6


@pytest.fixture(scope="module")
def polyp() -> NDArray[np.uint8]:
    return fit_to_network(read_image(sample_images("polyp")[0]), Preprocessing(128, 128))


def flat(level: int, channels: int = 3) -> NDArray[np.uint8]:
    return np.full((40, 56, channels), level, np.uint8)


def wave(cycles: float, amplitude: float = 0.2, side: int = 64) -> NDArray[np.uint8]:
    """A grey cosine along the width, half a period for each of the cosine transform's steps."""
    line = 0.5 + amplitude * np.cos(np.pi * cycles * (np.arange(side) + 0.5) / side)
    return np.tile(np.floor(line * 255 + 0.5), (side, 1)).astype(np.uint8)[..., None]


@pytest.mark.parametrize("channels", [1, 3])
def test_it_has_the_length_it_says_and_is_finite_of_any_picture(channels: int):
    for shape in ((8, 8, channels), (300, 17, channels)):
        for level in (0, 255):
            found = describe(np.full(shape, level, np.uint8))
            assert found.shape == (descriptor_length(channels),)
            assert np.isfinite(found).all()


@pytest.mark.parametrize(("cycles", "band"), [(1, 0), (2, 1), (3, 1), (6, 2), (12, 3), (20, 4), (50, 5)])
def test_a_wave_is_in_the_band_of_its_frequency_with_its_variance(cycles: int, band: int):
    found = describe(wave(cycles))[16 : 16 + BANDS]
    assert found.argmax() == band
    assert 10 ** found[band] == pytest.approx(0.2**2 / 2, rel=0.01)
    assert 10 ** np.delete(found, band).max() < 1e-4


def test_the_cells_are_read_row_by_row():
    picture = flat(0, 1)
    picture[10:20, 14:28] = 255  # of 4 x 4 the second row's second
    cells = describe(picture)[:16]
    assert cells.argmax() == 5
    assert cells[5] > 0.9
    assert np.delete(cells, 5).max() < 0.05


def test_black_white_and_what_lies_between_are_told_apart():
    rest = 16 + 2 * BANDS
    black, grey, white = (describe(flat(level, 1))[rest + 1 :] for level in (0, 128, 255))
    assert black.tolist() == [1, 0]
    assert grey.tolist() == [0, 0]
    assert white == pytest.approx([0, 1])


def test_colour_lies_in_the_planes_of_colour_and_in_saturation(polyp: NDArray[np.uint8]):
    plain = np.repeat(fit_to_network(polyp, Preprocessing(128, 128, channels=1)), 3, axis=2)
    colourful, grey = describe(polyp), describe(plain)
    plane = 16 + BANDS
    assert np.abs(colourful[:plane] - grey[:plane]).max() < 0.02  # luma stays
    assert np.abs(grey[plane : plane + 16]).max() < 1e-6
    assert grey[plane + 16 : 2 * plane].max() < -5.9
    assert colourful[plane : plane + 16].mean() > 0.1
    assert grey[-4:] == pytest.approx([0] * 4, abs=1e-6)
    assert colourful[-4:].min() > 0.02


def test_it_hardly_depends_on_the_networks_size(polyp: NDArray[np.uint8]):
    image = read_image(sample_images("polyp")[0])
    small, large = (describe(fit_to_network(image, Preprocessing(side, side))) for side in (224, 352))
    assert np.abs(small - large).max() < 0.1
