"""Augmentation turns exactly there and back, and a predictor follows the contract."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from s2m_edge.checkpoint import network_spec, read_header
from s2m_edge.deploy.activation import probabilities
from s2m_edge.deploy.golden import reference_logits
from s2m_edge.errors import LoweringError
from s2m_edge.imaging.preprocess import fit_to_network, mask_in_original_size
from s2m_edge.imaging.read import read_image
from s2m_edge.imaging.window import Window, bands, window_count
from s2m_edge.targets.measure.evaluation.predictors import (
    Predictor,
    augmented,
    average_over_symmetries,
    network_predictor,
    turn,
    turn_back,
)

VIEWS = [(turns, mirrored) for mirrored in (False, True) for turns in range(4)]


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)


@pytest.mark.parametrize(("turns", "mirrored"), VIEWS)
def test_turning_back_undoes_turning_exactly(picture, turns, mirrored):
    back = turn_back(turn(picture, turns, mirrored).transpose(2, 0, 1), turns, mirrored)
    np.testing.assert_array_equal(back, picture.transpose(2, 0, 1))


def test_averaging_changes_nothing_where_the_network_turns_with_its_picture(bright: Predictor, picture):
    np.testing.assert_array_equal(average_over_symmetries(bright.predict, picture), bright.predict(picture))


def test_averaging_sees_eight_different_views_and_levels_what_depends_on_them(picture):
    seen: list[bytes] = []
    ramp = np.broadcast_to(np.linspace(0, 1, 96, dtype=np.float32), (1, 96, 96))

    def always_right(fitted):
        seen.append(fitted.tobytes())
        return ramp

    found = average_over_symmetries(always_right, picture)
    assert len(set(seen)) == 8
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, 0.5, atol=1e-6)  # a ramp and its reflections


def test_an_augmented_predictor_stays_what_it_was_but_for_its_answer(bright: Predictor, picture):
    other = augmented(replace(bright, predict=lambda fitted: np.tril(bright.predict(fitted)[0])[None]))
    assert (other.name, other.preprocessing, other.threshold) == (bright.name, bright.preprocessing, bright.threshold)
    assert not np.array_equal(other.predict(picture), bright.predict(picture))


def test_a_checkpoint_is_segmented_as_the_contract_says(small_model, small_checkpoint, polyp_images):
    predictor = replace(network_predictor(small_model, network_spec(read_header(small_checkpoint))), threshold=0.95)
    image = read_image(polyp_images[0])[:300]
    found = probabilities(
        reference_logits(small_model, fit_to_network(image, predictor.preprocessing), predictor.preprocessing)
    )
    expected = mask_in_original_size(found, image.shape[0], image.shape[1], 0.95)
    assert 0.01 < expected.mean() < 0.99
    np.testing.assert_array_equal(predictor.segment(image), expected)
    assert predictor.classes[0].name == "polyp"
    assert predictor.facts["checkpoint"]["sha256"] == read_header(small_checkpoint).sha256


def test_answers_that_are_no_numbers_are_not_taken_for_empty_masks(bright: Predictor, picture):
    broken = replace(bright, predict=lambda fitted: np.full((1, 96, 96), np.nan, np.float32))
    with pytest.raises(LoweringError, match=r"polyp\.png: the artifact's answer is not a number"):
        broken.segment(picture, "polyp.png")


@pytest.mark.parametrize(("height", "width"), [(96, 96), (97, 210), (300, 128), (40, 60)])
def test_windows_cover_a_picture_at_its_own_resolution(height, width):
    """Where the answer at a pixel depends on that pixel alone, windows must make no difference at all."""
    picture = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    seen: list[tuple[int, ...]] = []

    def brightness(window):
        seen.append(window.shape)
        assert window.dtype == np.uint8
        return (window.mean(axis=2) / 255).astype(np.float32)[None]

    found = np.concatenate([part for _, part in bands(brightness, picture, (96, 96), Window())], axis=1)
    assert set(seen) == {(96, 96, 3)}
    assert len(seen) == window_count(height, width, (96, 96), Window())
    np.testing.assert_allclose(found[0], picture.mean(axis=2) / 255, atol=1e-5)


def test_a_windowed_predictor_keeps_what_stretching_would_lose(bright: Predictor):
    """Lines one pixel wide, in a picture three times the network's size."""
    picture = np.zeros((288, 288, 3), np.uint8)
    picture[::6] = 255
    line = replace(bright, predict=lambda fitted: (fitted.mean(axis=2) / 255).astype(np.float32)[None], threshold=0.5)
    np.testing.assert_array_equal(line.with_window(True).segment(picture), picture[..., 0] // 255)
    assert line.segment(picture).sum() == 0
