"""Inside the field of view everything counts as before; outside it nothing does."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from s2m_edge.errors import ImageError
from s2m_edge.imaging.classes import default_classes
from s2m_edge.imaging.read import read_image
from s2m_edge.samples import sample_images, sample_mask
from s2m_edge.targets.measure.evaluation.evaluate import evaluate_samples
from s2m_edge.targets.measure.evaluation.metrics import EVERY_PIXEL, INSIDE, measure
from s2m_edge.targets.measure.evaluation.predictors import Predictor
from s2m_edge.targets.measure.evaluation.report import Subject, publish_report
from s2m_edge.train.data.sample import Sample

SIZE = 96
EDGE = 48  # the field of view is what lies left of it


def picture(folder: Path, name: str, shown: NDArray[np.uint8], truth: NDArray[np.uint8]) -> Sample:
    """Grey values and labels, both H x W, and a published field of view: the left half."""
    inside = np.zeros(shown.shape, np.uint8)
    inside[:, :EDGE] = 255
    for kind, pixels in (("image", np.stack([shown] * 3, axis=2)), ("mask", truth), ("field", inside)):
        Image.fromarray(pixels).save(folder / f"{name}-{kind}.png")
    image, mask, field = (folder / f"{name}-{kind}.png" for kind in ("image", "mask", "field"))
    return Sample(name, image, mask, field_of_view=field)


def blocks(seed: int, values: tuple[int, ...]) -> NDArray[np.uint8]:
    """Random squares of 6 pixels, many of which the field's edge touches or cuts."""
    chosen = np.random.default_rng(seed).choice(np.array(values, np.uint8), (SIZE // 6, SIZE // 6))
    return np.roll(np.kron(chosen, np.ones((6, 6), np.uint8)), 3, axis=1)


@pytest.fixture
def shades(bright: Predictor) -> Predictor:
    """Three classes: dark is the background, then grey, then white."""

    def predict(fitted: NDArray[np.uint8]) -> NDArray[np.float32]:
        return (fitted[None, :, :, 0] // 100 == np.arange(3)[:, None, None]).astype(np.float32)

    return replace(bright, predict=predict, channels=3, classes=default_classes(3, ("grey", "white")))


def test_every_figure_is_that_of_the_picture_cut_to_its_field(bright: Predictor, tmp_path: Path):
    found, truth = blocks(0, (0, 255)), blocks(1, (0, 255))
    sample = picture(tmp_path, "a", found, truth)
    result = evaluate_samples(bright, [sample], field_of_view=True).images[0]
    expected = measure(found[:, :EDGE] // 255, truth[:, :EDGE] // 255, 1)
    assert 0.2 < expected[0].values["dice"] < 0.8
    assert result.classes == expected
    assert result.classes != evaluate_samples(bright, [sample]).images[0].classes
    assert result.field is not None
    assert (result.field.pixels, result.field.published) == (SIZE * EDGE, True)


def test_of_several_classes_each_is_cut_to_the_field(shades: Predictor, tmp_path: Path):
    found, truth = blocks(2, (0, 100, 200)), blocks(3, (0, 1, 2))
    result = evaluate_samples(shades, [picture(tmp_path, "a", found, truth)], field_of_view=True).images[0]
    expected = measure(found[:, :EDGE] // 100, truth[:, :EDGE], 2)
    assert all(0.1 < entry.values["dice"] < 0.9 for entry in expected)
    assert result.classes == expected


def test_what_is_only_outside_counts_as_absent(bright: Predictor, tmp_path: Path):
    outside = np.zeros((SIZE, SIZE), np.uint8)
    outside[:, EDGE:] = 255
    evaluation = evaluate_samples(bright, [picture(tmp_path, "a", outside, outside)], field_of_view=True)
    assert (evaluation.images[0].figure("dice"), evaluation.images[0].figure("hd95")) == (1, 0)
    assert evaluation.images[0].classes[0].truth_pixels == 0
    assert not evaluation.worst[0].prediction.any()


def test_a_real_photograph_without_a_published_field_is_scored_in_an_estimate(bright: Predictor, tmp_path: Path):
    photograph = read_image(sample_images("vessel")[0]).copy()
    height, width = photograph.shape[:2]
    photograph[:14, :14] = 255  # the camera's mark in the black corner
    Image.fromarray(photograph).save(tmp_path / "fundus.png")
    mask = sample_mask(sample_images("vessel")[0])
    everywhere = replace(bright, predict=lambda fitted: np.ones((1, SIZE, SIZE), np.float32))
    evaluation = evaluate_samples(everywhere, [Sample("a", tmp_path / "fundus.png", mask)], field_of_view=True)
    result = evaluation.images[0]
    assert result.field is not None
    assert not result.field.published
    assert 0.6 < result.field.pixels / (height * width) < 0.8  # a disc in a rectangle
    assert result.classes[0].predicted_pixels == result.field.pixels
    assert not evaluation.worst[0].prediction[:14, :14].any()
    assert result.figure("recall") > 0.99  # the observer drew vessels in it alone


def test_a_field_of_another_size_is_refused_with_both_sizes(bright: Predictor, tmp_path: Path):
    sample = picture(tmp_path, "a", blocks(0, (0, 255)), blocks(1, (0, 255)))
    assert sample.field_of_view is not None
    Image.fromarray(np.full((50, 70), 255, np.uint8)).save(sample.field_of_view)
    with pytest.raises(ImageError, match=r"a-field\.png is 70 x 50 pixels and its image a-image\.png 96 x 96"):
        evaluate_samples(bright, [sample], field_of_view=True)
    evaluate_samples(bright, [sample])  # nobody asked for it


def test_an_empty_field_is_refused(bright: Predictor, tmp_path: Path):
    sample = picture(tmp_path, "a", blocks(0, (0, 255)), blocks(1, (0, 255)))
    assert sample.field_of_view is not None
    Image.fromarray(np.zeros((SIZE, SIZE), np.uint8)).save(sample.field_of_view)
    with pytest.raises(ImageError, match=r"a-field\.png is empty.*leave --field-of-view out"):
        evaluate_samples(bright, [sample], field_of_view=True)


def test_a_report_says_where_was_scored_and_by_what(bright: Predictor, tmp_path: Path):
    white, truth = np.full((SIZE, SIZE), 255, np.uint8), blocks(1, (0, 255))
    unpublished = replace(
        picture(tmp_path, "b", white, truth), field_of_view=None
    )  # without a dark surround: all of it
    samples = [picture(tmp_path, "a", blocks(0, (0, 255)), truth), unpublished]
    subject, values = Subject(bright, "lamps", "val", 2, 2.0, False), {}
    for asked in (False, True):
        evaluation = evaluate_samples(bright, samples, field_of_view=asked)
        values[asked] = publish_report(subject, evaluation, tmp_path / f"{asked}")
    field = values[True]["settings"]["field_of_view"]
    assert field == {"published": 1, "estimated": 1, "mean_share": 0.75}
    assert values[True]["conventions"]["field of view"] == INSIDE
    assert values[False]["settings"]["field_of_view"] is None
    assert values[False]["conventions"]["field of view"] == EVERY_PIXEL
    assert json.loads((tmp_path / "True" / "metrics.json").read_text()) == values[True]
    plain, inside = (list(csv.DictReader((tmp_path / f"{asked}" / "metrics.csv").open())) for asked in (False, True))
    assert int(inside[0]["field_of_view_pixels"]) == SIZE * EDGE
    assert plain[0].keys() == inside[0].keys() - {"field_of_view_pixels"}
