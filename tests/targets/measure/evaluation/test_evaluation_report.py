"""An evaluation reads what is there, finds the worst, and leaves a whole report or none."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from s2m_edge.errors import ImageError
from s2m_edge.imaging.classes import default_classes
from s2m_edge.notice import NOTICE
from s2m_edge.samples import sample_images, sample_mask
from s2m_edge.targets.measure.evaluation.evaluate import evaluate_samples
from s2m_edge.targets.measure.evaluation.predictors import Predictor
from s2m_edge.targets.measure.evaluation.report import Subject, publish_report
from s2m_edge.targets.measure.evaluation.sheet import draw_worst
from s2m_edge.train.data.folders import Sample


def lamp(folder: Path, name: str, lit: tuple[int, int], true: tuple[int, int], size: tuple[int, int] = (96, 96)):
    """A dark picture with columns `lit`, and a mask that says columns `true`; both columns from and to."""
    for kind, (start, stop) in (("image", lit), ("mask", true)):
        pixels = np.zeros((*size, 3) if kind == "image" else size, np.uint8)
        pixels[:, start:stop] = 255
        Image.fromarray(pixels).save(folder / f"{name}-{kind}.png")
    return Sample(name, folder / f"{name}-image.png", folder / f"{name}-mask.png")


def test_every_image_is_scored_in_its_own_size(bright: Predictor, tmp_path: Path):
    sample = lamp(tmp_path, "wide", (0, 100), (0, 100), size=(130, 201))
    result = evaluate_samples(bright, [sample]).images[0]
    assert (result.width, result.height) == (201, 130)
    assert result.classes[0].truth_pixels == 130 * 100
    assert abs(result.classes[0].predicted_pixels - 130 * 100) <= 130  # a column lost to 96 pixels and back
    assert result.figure("dice") > 0.99


def test_the_worst_ten_are_kept_worst_first(bright: Predictor, tmp_path: Path):
    order = np.random.default_rng(0).permutation(14)
    samples = [lamp(tmp_path, f"off by {step:02}", (10 + step, 40 + step), (10, 40)) for step in order]
    seen: list[tuple[str, int, int]] = []
    evaluation = evaluate_samples(bright, samples, progress=lambda *step: seen.append(step))
    assert [shown.result.name for shown in evaluation.worst] == [f"off by {step:02}" for step in range(13, 3, -1)]
    assert [image.name for image in evaluation.images] == [sample.stem for sample in samples]
    assert seen[0] == (samples[0].image.name, 0, 14)
    assert seen[-1][1:] == (14, 14)


def test_a_report_says_everything_and_agrees_with_itself(bright: Predictor, tmp_path: Path):
    samples = [lamp(tmp_path, "good", (10, 40), (10, 40)), lamp(tmp_path, "half", (10, 40), (25, 55))]
    samples += [lamp(tmp_path, "missed", (0, 0), (10, 40)), lamp(tmp_path, "nothing", (0, 0), (0, 0))]
    evaluation = evaluate_samples(bright, samples)
    out = tmp_path / "report"
    values = publish_report(Subject(bright, "lamps", "val", 9, 2.0, False), evaluation, out)
    assert sorted(path.name for path in out.iterdir()) == ["metrics.csv", "metrics.json", "worst.png"]
    assert json.loads((out / "metrics.json").read_text()) == values
    assert values["data"] == {"name": "lamps", "split": "val", "images": 4, "images_in_split": 9}
    assert values["metrics"]["dice"]["mean"] == pytest.approx((1 + 0.5 + 0 + 1) / 4)
    assert values["metrics"]["hd95"]["undefined"] == 1
    assert values["metrics"]["hd95"]["images"] == 3
    assert values["classes"][0]["images_with_truth"] == 3
    assert values["classes"][0]["images_with_prediction"] == 2
    assert values["worst"][0] == {"image": "missed", "dice": 0.0}
    assert values["notice"] == NOTICE
    assert values["tools"]["monai"]
    assert any("undefined" in text for text in values["conventions"].values())
    rows = list(csv.DictReader((out / "metrics.csv").open()))
    assert [row["image"] for row in rows] == ["good", "half", "missed", "nothing"]
    assert [row["hd95"] == "" for row in rows] == [False, False, True, False]
    assert np.mean([float(row["dice"]) for row in rows]) == pytest.approx(values["metrics"]["dice"]["mean"])
    assert rows[0]["class"] == "lamp"


def test_a_second_report_replaces_the_first(bright: Predictor, tmp_path: Path):
    out = tmp_path / "deep" / "report"
    for step in (1, 2):
        samples = [lamp(tmp_path, f"run {step}", (10, 40), (10, 40))]
        publish_report(Subject(bright, "lamps", "val", 1, 2.0, False), evaluate_samples(bright, samples), out)
    assert "run 2" in (out / "metrics.csv").read_text()
    assert "run 1" not in (out / "metrics.csv").read_text()
    assert [path.name for path in out.parent.iterdir()] == ["report"]


def test_a_mask_of_another_size_is_refused_with_both_sizes(bright: Predictor, tmp_path: Path):
    sample = lamp(tmp_path, "a", (10, 40), (10, 40))
    Image.fromarray(np.zeros((50, 70), np.uint8)).save(sample.mask)
    with pytest.raises(ImageError, match=r"a-mask\.png is 70 x 50 pixels and its image a-image.png 96 x 96"):
        evaluate_samples(bright, [sample])


def test_labels_of_several_classes_are_not_taken_for_an_empty_mask(bright: Predictor, tmp_path: Path):
    sample = lamp(tmp_path, "a", (10, 40), (10, 40))
    Image.fromarray(np.full((96, 96), 3, np.uint8)).save(sample.mask)
    with pytest.raises(ImageError, match=r"a-mask\.png holds labels up to 3, and one class is expected"):
        evaluate_samples(bright, [sample])


def test_the_sheet_shows_truth_and_prediction_of_real_pictures(bright: Predictor):
    samples = [Sample(path.stem, path, sample_mask(path)) for path in sample_images("polyp")]
    evaluation = evaluate_samples(bright, samples)
    colour = (10, 250, 20)
    classes = tuple(replace(entry, colour=colour) for entry in bright.classes)
    sheet = np.asarray(draw_worst(evaluation.worst, classes, "title"))
    drawn = (sheet == colour).all(axis=2)
    assert drawn.sum() > 1000
    without = [replace(shown, prediction=np.zeros_like(shown.prediction)) for shown in evaluation.worst]
    assert (np.asarray(draw_worst(without, classes, "title")) == colour).all(axis=2).sum() < drawn.sum()


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_sheet_takes_any_shape_number_of_pictures_and_length_of_names(bright: Predictor, tmp_path: Path, count):
    sizes = ((40, 300), (300, 40), (8, 8))
    samples = [lamp(tmp_path, f"{'long' * 30}{index}", (0, 4), (0, 4), sizes[index]) for index in range(count)]
    classes = default_classes(13, tuple(f"a rather long class name {index}" for index in range(12)))
    sheet = draw_worst(evaluate_samples(bright, samples).worst, classes, "a title that is too long to fit " * 9)
    assert sheet.width < 1400
    assert sheet.height < 1000
