"""Overlays show the mask where it is, and always carry the notice."""

from __future__ import annotations

import numpy as np
import pytest

from s2m_edge.imaging.classes import default_classes
from s2m_edge.imaging.overlay import draw_overlay, mask_picture, outline


def test_the_outline_is_the_masks_border_and_not_the_images():
    mask = np.zeros((10, 10), bool)
    mask[:5, :5] = True
    edge = outline(mask, 1)
    assert not edge[0, 0]
    assert edge[4, 0]
    assert edge[0, 4]
    assert edge.sum() == 9


def test_the_overlay_keeps_the_background_and_colours_the_mask():
    image = np.full((100, 300, 3), 100, np.uint8)
    labels = np.zeros((100, 300), np.uint8)
    labels[20:60, 50:120] = 1
    classes = default_classes(1, ("polyp",))
    drawn = np.asarray(draw_overlay(image, labels, classes))
    assert (drawn[:20, :300] == 100).all()
    assert tuple(drawn[20, 60]) == classes[0].colour
    assert not (drawn[40, 80] == 100).all()
    assert drawn.shape[0] > 100  # the strip with the notice
    assert (drawn[100:] > 200).any()


def test_the_notice_fits_even_a_narrow_picture():
    narrow = np.zeros((60, 60, 3), np.uint8)
    drawn = np.asarray(
        draw_overlay(narrow, np.zeros((60, 60), np.uint8), default_classes(1), "a caption of some length")
    )
    assert drawn.shape[1] == 96
    assert (drawn[60:, :93] > 200).any()
    assert (drawn[60:, 93:] < 60).all()  # nothing runs into the right edge


@pytest.mark.parametrize("shape", [(8, 8), (352, 352), (2000, 3000), (100, 4000), (4000, 100)])
def test_the_notice_is_as_large_on_a_screen_whatever_the_pictures_size(shape: tuple[int, int]):
    """Its smallest letters, of a picture that fills a window of 800 pixels, have eight of them or more."""
    height, width = shape
    image = np.zeros((height, width, 3), np.uint8)
    drawn = np.asarray(draw_overlay(image, np.zeros(shape, np.uint8), default_classes(1), "onnx, float32, on the CPU"))
    lit = np.flatnonzero((drawn[height:] > 160).any(axis=(1, 2)))
    first_line = np.split(lit, np.flatnonzero(np.diff(lit) > 1) + 1)[0]
    assert len(first_line) >= max(8, 8 * max(shape) / 800)
    assert not (drawn[height:, -3:] > 60).any(), "nothing runs into the right edge"


def test_masks_are_black_and_white_for_one_class_and_labels_for_more():
    labels = np.array([[0, 1, 2]], np.uint8)
    assert np.asarray(mask_picture(labels[:, :2], 1)).tolist() == [[0, 255]]
    assert np.asarray(mask_picture(labels, 3)).tolist() == [[0, 1, 2]]
