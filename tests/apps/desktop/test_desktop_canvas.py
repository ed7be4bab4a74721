"""What the canvas draws, pixel by pixel: the upright picture, and the mask where it belongs."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from s2m_edge.apps.vectors.encoded import FOLDER, INDEX_FILE
from s2m_edge.apps.vectors.generate import VECTORS
from s2m_edge.imaging.classes import default_classes
from s2m_edge.imaging.read import read_image

PICTURES = VECTORS / FOLDER
INDEX = json.loads((PICTURES / INDEX_FILE).read_text(encoding="utf-8"))


def on_screen(canvas: Any, height: int, width: int) -> np.ndarray:
    """The colour at the middle of every pixel of the picture, RGB."""
    shown = canvas.viewport().grab().toImage()
    colours = np.zeros((height, width, 3), np.uint8)
    for row in range(height):
        for column in range(width):
            colours[row, column] = shown.pixelColor(canvas.mapFromScene(column + 0.5, row + 0.5)).getRgb()[:3]
    return colours


def test_a_picture_is_drawn_upright_with_its_mask_in_its_place_whatever_its_orientation(application: Any):
    from s2m_edge.apps.desktop.canvas import Canvas, overlay_pixels

    stored = load_file(PICTURES / INDEX["pixels"]["file"])
    cases = [case for case in INDEX["cases"] if case["name"].startswith("exif-")]
    assert len(cases) == 17
    (entry,) = classes = default_classes(1, ("polyp",))
    canvas = Canvas()
    canvas.resize(400, 300)
    canvas.show()
    for case in cases:
        canvas.show_picture(read_image(PICTURES / case["file"]))
        canvas.set_zoom(8)  # single pixels, not smoothed
        labels = np.zeros((case["height"], case["width"]), np.uint8)
        labels[1:5, 14:21] = 1  # alike to nothing that is turned or mirrored
        canvas.show_overlay(overlay_pixels(labels, classes, 1.0, fill=True, edge=False))
        found = on_screen(canvas, *labels.shape)
        expected = stored[case["name"]].copy()
        expected[labels == 1] = entry.colour
        assert np.abs(found.astype(int) - expected).max() <= case["tolerance"], case["name"]
    canvas.close()
