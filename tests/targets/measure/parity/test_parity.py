"""The gates hold what they promise and cannot be passed by accident."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest

from s2m_edge.errors import ParityError
from s2m_edge.files import write_json
from s2m_edge.targets.measure.parity import GATES, ImageParity, ParityReport, compare
from s2m_edge.targets.measure.parity.compare import dice_between
from s2m_edge.targets.measure.parity.gates import breaches
from s2m_edge.targets.measure.parity.table import print_remarks

GOOD = ImageParity("good.png", 1e-6, 1e-8, 1.0, 1.0, 0.1, 5.0)


def report(*images: ImageParity, precision: str = "float32") -> ParityReport:
    return ParityReport("onnx", precision, "matmul", "executed", "cpu", "cpu", images, {}, {})


def test_the_thresholds_are_the_promised_ones():
    assert dataclasses.astuple(GATES["float32"]) == (1e-4, None, 0.9999, None)
    assert dataclasses.astuple(GATES["float16"]) == (None, 0.001, 0.999, 0.998)
    assert dataclasses.astuple(GATES["int8"]) == (None, 0.01, 0.99, 0.95)
    assert all(gate.probability_error or gate.mean_probability_error for gate in GATES.values())


@pytest.mark.parametrize(
    ("precision", "changes", "words"),
    [
        ("float32", {"max_probability_error": 1.1e-4}, "0.00011"),
        ("float32", {"max_probability_error": float("nan")}, "nan"),
        ("float32", {"mask_agreement": 0.99989}, "0.999890"),
        ("float16", {"max_probability_error": float("nan")}, "nan"),
        ("int8", {"max_probability_error": float("nan")}, "nan"),
        ("int8", {"max_probability_error": float("inf")}, "inf"),
        ("float32", {"mean_probability_error": float("inf")}, "inf"),
        ("float32", {"mask_dice": float("nan")}, "nan"),
        ("float16", {"mean_probability_error": 0.00101}, "0.00101"),
        ("int8", {"mean_probability_error": 0.0101}, "0.0101"),
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
    on = dataclasses.replace(GOOD, mean_probability_error=0.001, mask_agreement=0.999, mask_dice=0.998)
    assert breaches(GATES["float16"], on) == []


def test_no_images_is_no_pass():
    empty = report()
    assert not empty.passed
    with pytest.raises(ParityError, match="no image was compared"):
        empty.require_passed()


@pytest.mark.parametrize("precision", GATES)
def test_images_on_which_the_reference_finds_nothing_are_no_pass(precision):
    nothing = dataclasses.replace(GOOD, mask_fraction=0.0)
    with pytest.raises(ParityError, match=r"finds nothing on any of 2 images.*--images") as caught:
        report(nothing, nothing, precision=precision).require_passed()
    assert caught.value.exit_code == 1
    with pytest.raises(ParityError, match="finds nothing on the one image"):
        report(nothing, precision=precision).require_passed()
    found = report(nothing, GOOD, nothing, precision=precision)
    found.require_passed()
    values = found.to_dict()
    assert (values["images_with_foreground"], values["image_count"]) == (1, 3)


@pytest.mark.parametrize(
    ("reports", "printed"),
    [
        ((("onnx", 0), ("coreml", 0)), "foreground on 2 of 3 images\n"),
        ((("onnx", 0), ("coreai", 1)), "foreground on onnx 2 of 3 images, coreai 2 of 2 images\n"),
    ],
)
def test_how_many_images_have_something_to_find_is_printed(reports, printed, capsys):
    nothing = dataclasses.replace(GOOD, mask_fraction=0.0)
    images = (nothing, GOOD, GOOD)
    print_remarks([dataclasses.replace(report(*images[skipped:]), target=name) for name, skipped in reports])
    assert printed in capsys.readouterr().out


@pytest.mark.parametrize("softness", [0.5, 4.0])
def test_an_outline_that_moves_costs_the_mean_error_that_the_limits_are_derived_from(softness):
    """d pixels along an outline of length L: d x L of the area, however soft it is, and as many labels change."""
    side, moved = 352, 2.0
    radius = side * math.sqrt(0.1 / math.pi)
    rows, columns = np.mgrid[:side, :side] - side / 2
    distance = np.hypot(rows, columns)

    def disc(size: float) -> np.ndarray:
        return (1 / (1 + np.exp((distance - size) / softness)))[None].astype(np.float32)

    found = compare("x", disc(radius), disc(radius + moved), 0.5, 1.0)
    share = 2 * math.pi * (radius + moved / 2) * moved / side**2
    assert found.mean_probability_error == pytest.approx(share, rel=0.02)
    assert 1 - found.mask_agreement == pytest.approx(share, rel=0.05)


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


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("precision", GATES)
def test_one_value_that_is_not_finite_breaches_every_gate_though_no_label_changes(precision, value):
    reference = np.full((1, 8, 8), 0.1, np.float32)
    reference[0, :4] = 0.9
    edge = reference.copy()
    edge[0, 0 if value == np.inf else 7, 1] = value
    found = compare("x", reference, edge, 0.5, 1.0)
    assert found.mask_agreement == 1.0
    assert len(breaches(GATES[precision], found)) == 2, "the largest error and the mean"


def test_infinities_on_both_sides_are_no_agreement():
    both = np.full((1, 4, 4), np.inf, np.float32)
    assert breaches(GATES["int8"], compare("x", both, both, 0.5, 1.0))


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


@pytest.mark.parametrize("count", [float("inf"), float("nan"), 2.0, "2", True, None])
def test_a_report_whose_count_of_pictures_is_none_is_no_report(count: object):
    values = report(GOOD).to_dict()
    assert ParityReport.from_dict(values).images
    with pytest.raises(TypeError, match="images_given"):
        ParityReport.from_dict(values | {"images_given": count})


def test_a_figure_longer_than_a_float_holds_is_none():
    values = report(GOOD).to_dict()
    values["images"][0]["mask_dice"] = 10**400
    with pytest.raises(ValueError, match="too large"):
        ParityReport.from_dict(values)
