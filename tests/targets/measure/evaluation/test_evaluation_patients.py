"""Figures of whole patients: pooled by hand, intervals over patients, agreement of volumes, no PatientID anywhere."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image

from command_line import Run
from dicom_files import write_dicom
from s2m_edge.errors import ConfigurationError
from s2m_edge.targets.measure.evaluation.agreement import bland_altman
from s2m_edge.targets.measure.evaluation.agreement_chart import draw_agreement
from s2m_edge.targets.measure.evaluation.evaluate import Evaluation, ImageResult
from s2m_edge.targets.measure.evaluation.geometry import pixel_millilitres
from s2m_edge.targets.measure.evaluation.intervals import (
    cluster_interval,
    summarise,
    weighted_mean,
    weighted_median,
)
from s2m_edge.targets.measure.evaluation.metrics import measure
from s2m_edge.targets.measure.evaluation.patients import Grouping, PatientClass, group_by_patient, patient_results
from s2m_edge.targets.measure.evaluation.report import report_files
from s2m_edge.train.data.sample import Sample
from support import assert_one_line_error, write_sample_folder

IDENTITIES = ("SECRET^ONE", "SECRET^TWO")


def width(interval: tuple[float, float] | None) -> float:
    assert interval is not None
    return interval[1] - interval[0]


def test_slices_of_one_patient_that_are_alike_make_the_interval_over_patients_wider():
    """Six patients who differ, twenty slices each that do not: there are six observations, and not 120."""
    rng = np.random.default_rng(0)
    effects = rng.normal(0.8, 0.1, 6)
    values = np.repeat(effects, 20) + rng.normal(0, 0.01, 120)
    patients = [f"patient {place // 20}" for place in range(120)]
    by_slice, by_patient = summarise(values), summarise(values, patients)
    assert by_slice.mean == by_patient.mean
    assert width(by_patient.mean_interval) > 3 * width(by_slice.mean_interval)
    assert width(by_patient.median_interval) > width(by_slice.median_interval)
    means = np.array([values[place : place + 20].mean() for place in range(0, 120, 20)])
    expected = 2 * 1.96 * means.std() / math.sqrt(6)
    assert width(by_patient.mean_interval) == pytest.approx(expected, rel=0.15)


def test_patients_that_are_alike_make_the_interval_over_patients_narrower():
    """Each patient has the same good and bad slices: drawing patients changes nothing."""
    values = np.tile([0.2, 0.9, 0.6, 0.8], 10)
    patients = [str(place // 4) for place in range(40)]
    assert width(summarise(values, patients).mean_interval) == pytest.approx(0, abs=1e-12)
    assert width(summarise(values).mean_interval) > 0.1


@pytest.mark.parametrize(("weighted", "plain"), [(weighted_mean, np.mean), (weighted_median, np.median)])
def test_weights_stand_for_values_that_were_drawn_so_often(weighted, plain):
    rng = np.random.default_rng(2)
    values, weights = np.sort(rng.random(7)), rng.integers(0, 4, (200, 7))
    weights = weights[weights.sum(axis=1) > 0]
    expected = [plain(np.repeat(values, row)) for row in weights]
    np.testing.assert_allclose(weighted(values, weights), expected)


def test_patients_with_one_slice_each_have_the_interval_over_slices():
    values = np.random.default_rng(1).random(40)
    alone = [str(place) for place in range(40)]
    assert summarise(values, alone).mean_interval == pytest.approx(summarise(values).mean_interval)


def test_one_patient_has_no_interval_and_undefined_figures_are_left_out():
    assert cluster_interval(np.array([0.1, 0.2, 0.3]), ["a", "a", "a"], weighted_mean) is None
    found = summarise(np.array([0.1, math.nan, 0.3]), ["a", "b", "a"])
    assert (found.mean_interval, found.images, found.undefined) == (None, 2, 1)


def evaluated(*masks: tuple[Any, Any]) -> Evaluation:
    """Of predictions and truths."""
    images = []
    for number, (prediction, truth) in enumerate(masks):
        figures = measure(np.array(prediction, np.uint8), np.array(truth, np.uint8), 1)
        images.append(ImageResult(f"image {number}", 3, 2, figures))
    return Evaluation(tuple(images), ())


def test_a_patients_figures_are_of_all_slices_together():
    """Pooled, not averaged: a slice with a small object weighs what it holds."""
    full, one, none = [[1, 1, 1], [1, 1, 0]], [[0, 0, 0], [0, 0, 1]], [[0, 0, 0], [0, 0, 0]]
    evaluation = evaluated((full, full), (one, none), (none, none), (none, none))
    grouping = Grouping(("a", "a", "b", "a"), "data set", (0.1, 0.2, 0.5, 0.1))
    first, second = patient_results(evaluation, grouping)
    assert (first.name, first.images, second.name, second.images) == ("a", 3, "b", 1)
    (entry,) = first.classes
    assert entry.dice == pytest.approx(2 * 5 / (6 + 5))
    assert (entry.truth_pixels, entry.predicted_pixels, entry.error_pixels) == (5, 6, 1)
    assert entry.truth_ml == pytest.approx(0.5)
    assert entry.predicted_ml == pytest.approx(0.7)
    assert entry.error_ml == pytest.approx(0.2)
    assert entry.error_percent == pytest.approx(40)
    assert second.classes[0].dice == 1
    assert second.classes[0].error_percent is None


def test_volumes_are_unknown_where_a_slice_does_not_say_how_large_it_is():
    one = [[0, 0, 0], [0, 0, 1]]
    evaluation = evaluated((one, one), (one, one))
    (result,) = patient_results(evaluation, Grouping(("a", "a"), "data set", (0.1, None)))
    assert (result.classes[0].truth_ml, result.classes[0].error_ml) == (None, None)
    assert result.classes[0].error_percent == 0


def volumes(truth: float, predicted: float) -> PatientClass:
    return PatientClass(1.0, 0, 0, truth, predicted)


def test_bland_and_altmans_figures_by_hand():
    """Differences 2, -1 and 5: mean 2, deviation sqrt((0 + 9 + 9) / 2) = 3, limits 2 -+ 5.88."""
    found = bland_altman([volumes(10, 12), volumes(20, 19), volumes(30, 35)])
    assert found.unit == "ml"
    assert found.differences.tolist() == [2, -1, 5]
    assert found.means.tolist() == [11, 19.5, 32.5]
    assert found.bias == pytest.approx(2)
    assert found.deviation == pytest.approx(3)
    assert found.limits == pytest.approx((-3.88, 7.88))
    assert found.bias_interval is not None
    assert -1 <= found.bias_interval[0] < 2 < found.bias_interval[1] <= 5


def test_volumes_are_compared_in_pixels_where_one_is_not_known_in_millilitres():
    found = bland_altman([PatientClass(1.0, 100, 90, None, None), PatientClass(1.0, 50, 60, 5.0, 6.0)])
    assert (found.unit, found.differences.tolist()) == ("pixels", [-10, 10])


def test_one_patient_has_a_bias_and_no_limits():
    found = bland_altman([volumes(10, 12)])
    assert (found.bias, found.deviation, found.limits, found.bias_interval) == (2, None, None, None)


def test_the_plot_shows_what_was_computed():
    found = bland_altman([volumes(10, 12), volumes(20, 19), volumes(30, 35)])
    figure = draw_agreement("a $title", [("[lamp] $x$", found), ("other", bland_altman([volumes(1, 2)]))])
    first, second = cast(Any, figure.axes)
    assert first.collections[0].get_offsets().tolist() == [[11, 2], [19.5, -1], [32.5, 5]]
    assert sorted(float(line.get_ydata()[0]) for line in first.lines) == pytest.approx([-3.88, 0, 2, 7.88])
    assert sorted(float(line.get_ydata()[0]) for line in second.lines) == [0, 1]
    figure.canvas.draw()  # texts that a formula's parser would refuse


def series(folder: Path) -> list[Sample]:
    """Three slices of one patient, 5 and 8 mm apart, and one of another, 4 mm thick; pixels are 2 mm by 1.5 mm."""
    folder.mkdir()
    image = np.zeros((64, 64), np.uint16)
    image[20:40, 20:40] = 900
    places = [(IDENTITIES[0], "1.2.3", 0.0), (IDENTITIES[0], "1.2.3", 5.0), (IDENTITIES[0], "1.2.3", 13.0)]
    places.append((IDENTITIES[1], "1.2.4", 0.0))
    samples = []
    for number, (patient, uid, z) in enumerate(places):
        path = write_dicom(
            folder / f"slice-{number}.dcm", image, PatientID=patient, SeriesInstanceUID=uid, PixelSpacing=[2.0, 1.5],
            ImagePositionPatient=[0.0, 0.0, z], ImageOrientationPatient=[1, 0, 0, 0, 1, 0], SliceThickness=4.0,
        )  # fmt: skip
        samples.append(Sample(path.stem, path, path))
    return samples


def test_a_dicom_pixel_stands_for_half_the_way_to_both_neighbours(tmp_path: Path):
    samples = series(tmp_path / "images")
    expected = [3 * 5 / 1000, 3 * 6.5 / 1000, 3 * 8 / 1000, 3 * 4 / 1000]
    assert pixel_millilitres(samples) == pytest.approx(expected)
    assert pixel_millilitres(samples[::-1]) == pytest.approx(expected[::-1])


def test_a_nifti_voxel_has_its_own_volume_and_a_picture_none(tmp_path: Path):
    import nibabel

    path = tmp_path / "volume.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 5, 6), np.int16), np.diag([1.5, 2.0, -8.0, 1.0])), path)  # type: ignore[attr-defined]
    found = pixel_millilitres([Sample("a", path, path, slice_index=1), Sample("b", tmp_path / "b.png", path)])
    assert found == [pytest.approx(0.024), None]


def test_patients_of_dicom_are_numbered_by_their_first_images(tmp_path: Path):
    samples = series(tmp_path / "images")
    found = group_by_patient([samples[3], *samples[:3]])
    assert found.names == ("patient-001", "patient-002", "patient-002", "patient-002")
    assert (found.origin, found.patients) == ("DICOM", ("patient-001", "patient-002"))


def test_an_image_of_nobody_is_named(tmp_path: Path):
    picture = tmp_path / "a.png"
    Image.new("L", (64, 64)).save(picture)
    with pytest.raises(ConfigurationError, match=r"a has no patient in split\.csv, and no PatientID"):
        group_by_patient([Sample("a", picture, picture)])
    with pytest.raises(ConfigurationError, match="b has no patient"):
        group_by_patient([Sample("a", picture, picture, case="x"), Sample("b", picture, picture)])


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_no_patient_id_reaches_a_report(run: Run, small_checkpoint: Path, tmp_path: Path):
    data = tmp_path / "data"
    data.mkdir()
    samples = series(data / "images")
    (data / "masks").mkdir()
    mask = np.zeros((64, 64), np.uint8)
    mask[20:40, 20:30] = 255
    for sample in samples:
        Image.fromarray(mask).save(data / "masks" / f"{sample.stem}.png")
    out = tmp_path / "report"
    arguments = ("evaluate", small_checkpoint, "--data", data, "--all-images", "--by", "patient", "--out", out)
    code, printed, err = run(*arguments, "--json")
    assert code == 0, err
    values = json.loads(printed)["patients"]
    assert (values["count"], values["named_by"], values["remark"]) == (2, "DICOM", None)
    assert values["classes"][0]["bland_altman"]["unit"] == "ml"
    first, second = rows_of(out / "patients.csv")
    assert [first["patient"], second["patient"]] == ["patient-001", "patient-002"]
    assert float(first["truth_ml"]) == pytest.approx(200 * 3 * (5 + 6.5 + 8) / 1000)
    assert float(second["truth_ml"]) == pytest.approx(200 * 3 * 4 / 1000)
    assert sorted(path.name for path in out.iterdir()) == sorted(report_files(out))
    kept = b"".join(path.read_bytes() for path in out.iterdir())
    assert b"SECRET" not in kept
    assert "SECRET" not in printed + err
    assert run(*arguments)[0] == 0, "a report of patients is replaced like any other"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three polyps of two patients."""
    folder = write_sample_folder(tmp_path / "polyps", ["test"] * 3, "polyp")
    name_patients(folder, ["A", "A", "B"])
    return folder


def name_patients(folder: Path, patients: list[str]) -> None:
    stems = sorted(path.stem for path in (folder / "images").iterdir())
    lines = [f"{stem},test,{patient}" for stem, patient in zip(stems, patients, strict=True)]
    (folder / "split.csv").write_text("\n".join(["stem,split,patient", *lines]) + "\n")


def test_patients_of_a_table_are_called_as_it_calls_them(run: Run, small_checkpoint: Path, data: Path, tmp_path: Path):
    out = tmp_path / "report"
    code, printed, err = run("evaluate", small_checkpoint, "--data", data, "--by", "patient", "--out", out)
    assert code == 0, err
    rows = rows_of(out / "patients.csv")
    assert [(row["patient"], row["images"], row["truth_ml"]) for row in rows] == [("A", "2", ""), ("B", "1", "")]
    values = json.loads((out / "metrics.json").read_text())
    assert values["bootstrap"]["method"].startswith("percentile bootstrap over the patients")
    assert values["patients"]["dice"]["mean"] == pytest.approx(np.mean([float(row["dice"]) for row in rows]), abs=1e-5)
    assert "2 patients" in printed
    assert "limits of agreement (pixels)" in printed
    with Image.open(out / "bland-altman.png") as picture:
        assert picture.text["Software"] == "s2m-edge"  # type: ignore[attr-defined]


def test_of_one_patient_no_interval_is_given_and_that_is_said(
    run: Run, small_checkpoint: Path, data: Path, tmp_path: Path
):
    name_patients(data, ["A", "A", "A"])
    out = tmp_path / "report"
    code, printed, err = run("evaluate", small_checkpoint, "--data", data, "--by", "patient", "--out", out)
    assert code == 0, err
    assert "one patient: nothing can be said of others" in printed
    values = json.loads((out / "metrics.json").read_text())
    assert values["patients"]["remark"].startswith("one patient")
    assert values["metrics"]["dice"]["mean_interval"] is None
    assert values["patients"]["classes"][0]["bland_altman"]["limits_of_agreement"] is None


def test_without_by_patient_nothing_is_said_of_patients(run: Run, small_checkpoint: Path, data: Path, tmp_path: Path):
    code, printed, err = run("evaluate", small_checkpoint, "--data", data, "--out", tmp_path / "report", "--json")
    assert code == 0, err
    assert "patients" not in json.loads(printed)
    assert not (tmp_path / "report" / "patients.csv").exists()


def test_wrong_requests_are_one_line(run: Run, small_checkpoint: Path, data: Path):
    arguments = ("evaluate", small_checkpoint, "--data", data)
    assert_one_line_error(*run(*arguments, "--by", "hospital"), "no figures by 'hospital'", "image or patient")
    assert_one_line_error(*run(*arguments, "--by", "patient", "--record"), "--record is for figures of images")
    name_patients(data, ["A", "", "B"])
    assert_one_line_error(*run(*arguments, "--by", "patient"), "has no patient", "column patient")
