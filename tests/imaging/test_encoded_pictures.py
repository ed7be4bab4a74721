"""Every kind of picture that is opened has the pixels that the vectors of all apps say it has."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from s2m_edge.apps.vectors.encoded import FOLDER, INDEX_FILE, encoded_pictures, index_entry
from s2m_edge.apps.vectors.generate import VECTORS
from s2m_edge.imaging.intensity import intensity_of
from s2m_edge.imaging.read import read_image

PICTURES = VECTORS / FOLDER
INDEX = json.loads((PICTURES / INDEX_FILE).read_text(encoding="utf-8"))
APPS = {"page", "runner", "android", "ios"}
REASONS = {"format", "tiff", "deep", "transparent"}


@pytest.fixture(scope="module")
def stored() -> dict[str, np.ndarray]:
    return load_file(PICTURES / INDEX["pixels"]["file"])


@pytest.mark.parametrize("case", INDEX["cases"], ids=[case["name"] for case in INDEX["cases"]])
def test_a_picture_is_read_as_it_has_to_be_seen(case: dict, stored: dict[str, np.ndarray]):
    pixels = read_image(PICTURES / case["file"], intensity=intensity_of(case))
    expected = stored[case["name"]]
    assert pixels.shape == expected.shape == (case["height"], case["width"], 3)
    assert np.abs(pixels.astype(int) - expected).max() <= case["tolerance"]


def test_the_committed_pictures_are_what_their_definition_gives(stored: dict[str, np.ndarray]):
    """Pixels, not bytes: other versions of zlib and libjpeg write other files of the same picture."""
    cases = encoded_pictures()
    assert [index_entry(case) for case in cases] == INDEX["cases"], "python -m s2m_edge.apps.vectors writes them anew"
    for case in cases:
        assert np.abs(case.pixels.astype(int) - stored[case.name]).max() <= case.tolerance, case.name
    content = (PICTURES / INDEX["pixels"]["file"]).read_bytes()
    assert hashlib.sha256(content).hexdigest() == INDEX["pixels"]["sha256"]
    files = {case["file"] for case in INDEX["cases"]} | {INDEX_FILE, INDEX["pixels"]["file"]}
    assert {path.name for path in PICTURES.iterdir()} == files
    assert sum(path.stat().st_size for path in PICTURES.iterdir()) < 2**18


def test_the_eight_orientations_show_one_picture_and_refusals_have_names(stored: dict[str, np.ndarray]):
    for orientation in range(2, 9):
        assert np.array_equal(stored[f"exif-{orientation}-png"], stored["exif-1-png"])
    assert not np.array_equal(stored["exif-1-png"], stored["exif-1-png"][::-1, ::-1])
    assert {app for case in INDEX["cases"] for app in case["refused"]} == APPS
    assert {reason for case in INDEX["cases"] for reason in case["refused"].values()} == REASONS
