"""`s2m-edge evaluate --field-of-view`: fundus photographs scored inside what the camera saw."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from s2m_edge.checkpoint import read_header
from s2m_edge.imaging.read import read_image
from support import assert_one_line_error, metric_rows

pytestmark = pytest.mark.usefixtures("elsewhere")


@pytest.fixture
def fundus(tmp_path: Path) -> Path:
    """One test image in DRIVE's layout, whose published field of view is its left half."""
    root, size = tmp_path / "drive", 96
    rng = np.random.default_rng(0)
    field = np.zeros((size, size), np.uint8)
    field[:, : size // 2] = 255
    files = {
        "images/01_test.tif": rng.integers(0, 256, (size, size, 3), dtype=np.uint8),
        "1st_manual/01_manual1.gif": (rng.random((size, size)) < 0.5).astype(np.uint8) * np.uint8(255),
        "mask/01_test_mask.gif": field,
    }
    for name, pixels in files.items():
        path = root / "test" / name
        path.parent.mkdir(parents=True)
        Image.fromarray(pixels).save(path)
    return root


@pytest.mark.parametrize("kind", ["checkpoint", "bundle"])
def test_a_retinal_data_set_is_scored_inside_its_field_of_view(
    run, small_checkpoint, onnx_bundle, fundus, elsewhere, kind
):
    model = small_checkpoint if kind == "checkpoint" else onnx_bundle
    code, out, err = run("evaluate", model, "--data", fundus, "--preset", "drive", "--field-of-view")
    assert code == 0, err
    assert "1 images, inside the field of view (1 published; 50% of an image)" in out
    report = elsewhere / "evaluation" / f"{model.stem}-test-field-of-view"
    values = json.loads((report / "metrics.json").read_text())
    assert values["settings"]["field_of_view"] == {"published": 1, "estimated": 0, "mean_share": 0.5}
    row = metric_rows(report)[0]
    truth = read_image(fundus / "test" / "1st_manual" / "01_manual1.gif")[:, :48, 0] > 127
    assert int(row["truth_pixels"]) == truth.sum()
    assert int(row["predicted_pixels"]) <= int(row["field_of_view_pixels"]) == 96 * 48


def test_figures_inside_the_field_of_view_are_recorded_beside_the_others(run, small_checkpoint, fundus, tmp_path):
    path = tmp_path / "copy.safetensors"
    shutil.copyfile(small_checkpoint, path)
    for options in ((), ("--field-of-view",)):
        code, _, err = run("evaluate", path, "--data", fundus, "--preset", "drive", "--record", *options)
        assert code == 0, err
    provenance = read_header(path).provenance
    assert provenance["test_dice"] != provenance["test_dice_field_of_view"]


@pytest.mark.parametrize(
    ("field", "words"),
    [
        (np.zeros((96, 96), np.uint8), ("is empty", "leave --field-of-view out")),
        (np.full((40, 50), 255, np.uint8), ("is 50 x 40 pixels", "96 x 96")),
        (np.full((96, 96), 3, np.uint8), ("labels up to 3",)),
    ],
    ids=["empty", "other size", "labels"],
)
def test_a_field_of_view_that_does_not_fit_stops_with_one_line(run, small_checkpoint, fundus, elsewhere, field, words):
    Image.fromarray(field).save(fundus / "test" / "mask" / "01_test_mask.gif")
    refused = run("evaluate", small_checkpoint, "--data", fundus, "--preset", "drive", "--field-of-view")
    assert_one_line_error(*refused, "01_test_mask.gif", *words)
    assert list(elsewhere.iterdir()) == []
