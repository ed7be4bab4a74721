"""The gates hold what they promise and cannot be passed by accident."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from s2m_edge.errors import ParityError
from s2m_edge.files import write_json
from s2m_edge.targets.parity import GATES, ImageParity, ParityReport, compare
from s2m_edge.targets.parity.compare import dice_between
from s2m_edge.targets.parity.gates import breaches

GOOD = ImageParity("good.png", 1e-6, 1e-8, 1.0, 1.0, 0.1, 5.0)


def report(*images: ImageParity, precision: str = "float32") -> ParityReport:
    return ParityReport("onnx", precision, "matmul", "executed", "cpu", "cpu", images, {}, {})


def test_the_thresholds_are_the_promised_ones():
    assert dataclasses.astuple(GATES["float32"]) == (1e-4, 0.9999, None)
    assert dataclasses.astuple(GATES["float16"]) == (None, 0.999, 0.998)
    assert dataclasses.astuple(GATES["int8"]) == (None, 0.99, 0.95)


@pytest.mark.parametrize(
    ("precision", "changes", "words"),
    [
        ("float32", {"max_probability_error": 1.1e-4}, "0.00011"),
        ("float32", {"max_probability_error": float("nan")}, "nan"),
        ("float32", {"mask_agreement": 0.99989}, "0.999890"),
        ("float16", {"max_probability_error": float("nan")}, "nan"),
        ("int8", {"max_probability_error": float("nan")}, "nan"),
        ("float16", {"mask_agreement": 0.9989}, "0.998900"),
        ("float16", {"mask_dice": 0.9979}, "0.997900"),
        ("float16", {"mask_dice": float("nan")}, "nan"),
    ],
)
def test_one_figure_outside_its_limit_fails_and_names_the_image(precision, changes, words):
    bad = dataclasses.replace(GOOD, name="bad.png", **changes)
    found = breaches(GATES[precision], bad)
    assert len(found) == 1
    assert "bad.png" in found[0]
    assert words in found[0]
    with pytest.raises(ParityError, match=r"bad\.png") as caught:
        report(GOOD, bad, GOOD, precision=precision).require_passed()
    assert caught.value.exit_code == 1


def test_figures_on_the_limit_pass():
    assert (
        breaches(GATES["float32"], dataclasses.replace(GOOD, max_probability_error=1e-4, mask_agreement=0.9999)) == []
    )
    assert breaches(GATES["float16"], dataclasses.replace(GOOD, mask_agreement=0.999, mask_dice=0.998)) == []


def test_no_images_is_no_pass():
    empty = report()
    assert not empty.passed
    with pytest.raises(ParityError, match="not measured"):
        empty.require_passed()


def test_the_worst_image_is_the_one_with_the_largest_error_and_a_nan_is_worse():
    bad = dataclasses.replace(GOOD, name="bad.png", max_probability_error=0.5)
    nan = dataclasses.replace(GOOD, name="nan.png", max_probability_error=float("nan"))
    assert report(GOOD, bad).worst.name == "bad.png"
    assert report(GOOD, nan, bad).worst.name == "nan.png"


def test_comparing_counts_pixels_and_errors():
    reference = np.zeros((1, 10, 10), np.float32)
    reference[0, :5] = 0.9
    edge = reference.copy()
    edge[0, 4, 0] = 0.4
    measured = compare("x", reference, edge, 0.5, 1.0)
    assert measured.max_probability_error == pytest.approx(0.5)
    assert measured.mean_probability_error == pytest.approx(0.005)
    assert measured.mask_agreement == pytest.approx(0.99)
    assert measured.mask_dice == pytest.approx(2 * 49 / 99)
    assert measured.mask_fraction == pytest.approx(0.5)


def test_a_nan_in_the_edge_output_is_not_lost():
    reference = np.zeros((1, 4, 4), np.float32)
    edge = reference.copy()
    edge[0, 1, 1] = np.nan
    assert breaches(GATES["float32"], compare("x", reference, edge, 0.5, 1.0))


def test_outputs_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="gives"):
        compare("x", np.zeros((1, 4, 4), np.float32), np.zeros((1, 4, 5), np.float32), 0.5, 1.0)


def test_dice_of_empty_masks_is_one_and_classes_are_averaged():
    empty = np.zeros((4, 4), np.uint8)
    assert dice_between(empty, empty) == 1.0
    reference, edge = empty.copy(), empty.copy()
    reference[0], edge[0] = 1, 1
    reference[1] = 2
    assert dice_between(reference, edge) == pytest.approx(0.5)


def test_the_report_is_json_even_with_figures_that_are_not_numbers(tmp_path):
    values = report(dataclasses.replace(GOOD, max_probability_error=float("nan"))).to_dict()
    assert values["passed"] is False
    write_json(tmp_path / "parity.json", values)
    read = json.loads((tmp_path / "parity.json").read_text(), parse_constant=lambda text: pytest.fail(text))
    assert read["summary"]["max_probability_error"] == "nan"
    assert read["notice"].startswith("Research use only")
