"""The contract's geometry: one resize rule, exact against an independent implementation, and masks back in place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from s2m_edge.imaging.preprocess import (
    LUMA,
    Preprocessing,
    fit_to_network,
    mask_from_probabilities,
    mask_in_original_size,
    normalise,
)
from s2m_edge.imaging.read import read_image
from s2m_edge.imaging.resample import resample, resample_matrix


@pytest.mark.parametrize("sizes", [(352, 96), (96, 352), (1072, 352), (33, 32), (8, 352), (100, 100)], ids=str)
def test_the_resize_rule_is_antialiased_bilinear_with_half_pixel_centres(sizes):
    length, new_length = sizes
    image = np.random.default_rng(0).random((3, length, length + 5), dtype=np.float32)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(image).double()[None], size=(new_length, new_length), mode="bilinear", antialias=True
    )[0].numpy()
    assert np.abs(resample(image, new_length, new_length) - expected).max() < 1e-6
    assert np.allclose(resample_matrix(length, new_length).sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("channels", [3, 1])
def test_a_level_does_not_depend_on_how_a_processor_sums(polyp_images: list[Path], channels: int):
    """Against sums of more digits than any processor's, on pictures of which float32 gets several levels wrong."""
    across = resample_matrix(352, 96).astype(np.longdouble)
    for path in polyp_images[3:9]:
        image = read_image(path)
        planes = image.astype(np.longdouble).transpose(2, 0, 1)
        if channels == 1:
            planes = np.tensordot(LUMA.astype(np.longdouble), planes, axes=1)[None]
        exact = np.einsum("ij,cjk,lk->cil", across, planes, across, optimize=True).astype(np.float32)
        levels = np.floor(exact.astype(np.float64) + 0.5).transpose(1, 2, 0)
        assert np.array_equal(fit_to_network(image, Preprocessing(96, 96, channels=channels)), levels)


def test_a_picture_of_the_networks_size_is_taken_as_it_is():
    image = np.random.default_rng(1).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    assert np.array_equal(fit_to_network(image, Preprocessing(96, 96)), image)


def test_grey_networks_get_the_luma():
    image = np.zeros((96, 96, 3), np.uint8)
    image[..., 1] = 200
    fitted = fit_to_network(image, Preprocessing(96, 96, channels=1))
    assert fitted.shape == (96, 96, 1)
    assert np.unique(fitted).tolist() == [117]  # 0.587 * 200 = 117.4


def test_normalising_applies_scale_mean_and_deviation_per_channel():
    fitted = np.full((96, 96, 3), 255, np.uint8)
    given = Preprocessing(96, 96, mean=(0.5, 0.25, 0.0), standard_deviation=(0.5, 1.0, 2.0))
    values = normalise(fitted, given)
    assert values.shape == (1, 3, 96, 96)
    assert values.dtype == np.float32
    assert values[0, :, 0, 0].tolist() == pytest.approx([1.0, 0.75, 0.5])


def test_masks_return_to_the_original_size_where_they_belong():
    probabilities = np.zeros((1, 96, 96), np.float32)
    probabilities[0, :48, :32] = 1.0
    mask = mask_in_original_size(probabilities, 200, 300, 0.5)
    assert mask.shape == (200, 300)
    assert mask[:99, :99].all()
    assert not mask[101:].any()
    assert not mask[:, 101:].any()


def test_the_threshold_is_inclusive_and_many_classes_take_the_largest():
    assert mask_from_probabilities(np.array([[[0.5, 0.49]]], np.float32), 0.5).tolist() == [[1, 0]]
    three = np.array([[[0.2, 0.5]], [[0.3, 0.1]], [[0.5, 0.4]]], np.float32)
    assert mask_from_probabilities(three, 0.5).tolist() == [[2, 0]]
