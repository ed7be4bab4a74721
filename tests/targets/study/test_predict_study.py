"""Every slice of a study, predicted as a picture is, in the memory of one."""

from __future__ import annotations

import os
import shutil
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.uid import UID

from dicom_files import write_series
from s2m_edge.apps.vectors.generate import VECTORS
from s2m_edge.apps.vectors.refusals import REFUSALS
from s2m_edge.deploy.bundle import Bundle, open_bundle
from s2m_edge.errors import AnswerError, ConfigurationError, ImageError
from s2m_edge.imaging.study import find_studies
from s2m_edge.targets.predict import predict_image
from s2m_edge.targets.study import chosen_slices, predict_study
from s2m_edge.targets.study.results import algorithm_of
from support import BrightRunner


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    folder = tmp_path / "bundle"
    shutil.copytree(VECTORS / REFUSALS / "sound", folder)
    return open_bundle(folder)


def squares(count: int, side: int = 24) -> np.ndarray:
    """Slices on which a bright square grows, in 12 bits."""
    stack = np.zeros((count, side, side), np.uint16)
    for index in range(count):
        stack[index, 2 : 4 + index, 2 : 4 + index] = 4000
    return stack


def test_each_slice_is_what_predict_makes_of_its_file(bundle: Bundle, tmp_path: Path):
    runner: Any = BrightRunner()
    generator = np.random.default_rng(2)
    paths = write_series(tmp_path / "series", generator.integers(0, 4000, (3, 60, 70), dtype=np.uint16), list("bca"))
    found = predict_study(bundle, runner, find_studies(tmp_path / "series")[0].open())
    assert found.labels.shape == (3, 60, 70)
    for index, path in enumerate(paths):
        alone = predict_image(bundle, runner, path)
        assert np.array_equal(found.labels[index], alone.labels)
        assert found.areas[index].tolist() == list(alone.areas.values())
    assert 0 < int(found.areas.sum()) < found.labels.size
    assert found.windows == 3
    assert "Research use only" in repr(found)


def test_areas_become_millilitres_by_what_each_slice_stands_for(bundle: Bundle, tmp_path: Path):
    write_series(tmp_path / "series", squares(5), each_ImagePositionPatient=[[0, 0, z] for z in (0, 2, 4, 8, 12)])
    found = predict_study(bundle, BrightRunner(), find_studies(tmp_path / "series")[0].open())  # type: ignore[arg-type]
    extents = np.array([2, 2, 3, 4, 4])
    due = float((found.areas[:, 0] * extents).sum() * 0.5 * 0.7 / 1000)
    name = bundle.contract.classes[0].name
    assert found.volumes == {name: pytest.approx(due)}
    assert due > 0
    assert found.summary()["volume_ml"] == found.volumes
    write_series(tmp_path / "nowhere", squares(3), ImageOrientationPatient=None)
    lost = predict_study(bundle, BrightRunner(), find_studies(tmp_path / "nowhere")[0].open())  # type: ignore[arg-type]
    assert lost.volumes == {name: None}


def test_chosen_slices_are_those_and_come_one_after_another(bundle: Bundle, tmp_path: Path):
    write_series(tmp_path / "series", squares(9))
    study = find_studies(tmp_path / "series")[0].open()
    seen: list[tuple[int, int]] = []
    steps: list[tuple[int, int]] = []
    found = predict_study(
        bundle,
        BrightRunner(),  # type: ignore[arg-type]
        study,
        slices=range(6, 40),
        each=lambda number, prediction: seen.append((number, int(prediction.labels.sum()))),
        progress=lambda done, total: steps.append((done, total)),
    )
    whole = predict_study(bundle, BrightRunner(), study)  # type: ignore[arg-type]
    assert [number for number, _ in seen] == [6, 7, 8]
    assert np.array_equal(found.labels, whole.labels[6:])
    assert [area for _, area in seen] == found.areas[:, 0].tolist()
    assert (found.first, found.study.slices) == (6, 3)
    assert steps[0] == (0, 3)
    assert steps[-1] == (3, 3)
    with pytest.raises(ImageError, match="--slices"):
        predict_study(bundle, BrightRunner(), study, slices=range(9, 12))  # type: ignore[arg-type]


def test_an_answer_that_is_no_number_names_its_slice(bundle: Bundle, tmp_path: Path):
    class Broken(BrightRunner):
        def predict(self, fitted: Any) -> Any:
            return super().predict(fitted) * (np.nan if fitted.mean() > 20 else 1)

    write_series(tmp_path / "series", squares(9))
    with pytest.raises(AnswerError, match=r"slice \d: the artifact's answer is not a number"):
        predict_study(bundle, Broken(), find_studies(tmp_path / "series")[0].open())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "due"),
    [("all", None), (" ALL ", None), ("7", range(7, 8)), ("10:40", range(10, 40)), (":3", range(3))],
)
def test_slices_are_named_as_python_names_them(text: str, due: range | None):
    assert chosen_slices(text) == due


def test_an_open_end_goes_to_the_last_slice():
    wanted = chosen_slices("5:")
    assert wanted is not None
    assert (wanted.start, wanted.stop > 10**6) == (5, True)


@pytest.mark.parametrize("text", ["", ":", "a", "4:4", "9:3", "-1", "1:2:3", "1.5", "1e3", "٣"])
def test_what_names_no_slices_is_refused(text: str):
    with pytest.raises(ConfigurationError, match="--slices"):
        chosen_slices(text)


def test_the_memory_of_a_long_series_is_that_of_its_labels_and_a_slice(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Three times the slices, the same memory but for what each slice's place takes."""
    monkeypatch.setattr("s2m_edge.imaging.scratch.IN_MEMORY", 0)
    peaks = []
    paths = write_series(tmp_path / "60", np.zeros((1, 64, 64), np.uint16))
    import pydicom

    header = pydicom.dcmread(paths[0])
    for count in (60, 180):
        folder = tmp_path / str(count)
        folder.mkdir(exist_ok=True)
        for index in range(count):
            header.SOPInstanceUID = header.file_meta.MediaStorageSOPInstanceUID = UID(f"1.2.{index + 1}")
            header.ImagePositionPatient, header.InstanceNumber = [0, 0, index], index
            header.save_as(folder / f"{index}")
        (folder / "IM0000").unlink(missing_ok=True)
        tracemalloc.start()
        study = find_studies(folder)[0].open()
        found = predict_study(bundle, BrightRunner(), study)  # type: ignore[arg-type]
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert found.labels.shape == (count, 64, 64)
    assert peaks[1] - peaks[0] < 120 * 12_000, peaks
    assert peaks[1] < 4 * 2**20, peaks


def test_labels_of_a_large_study_lie_in_a_file_without_a_name(bundle: Bundle, tmp_path: Path, monkeypatch):
    monkeypatch.setattr("s2m_edge.imaging.scratch.IN_MEMORY", 0)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    write_series(tmp_path / "series", squares(4))
    found = predict_study(bundle, BrightRunner(), find_studies(tmp_path / "series")[0].open())  # type: ignore[arg-type]
    assert isinstance(found.labels, np.memmap)
    assert os.listdir(temporary) == []


def test_results_say_which_threshold_decided(bundle: Bundle):
    assert algorithm_of(bundle).threshold == bundle.contract.threshold
    assert algorithm_of(bundle, 0.25).threshold == 0.25
    bundle.contract.values["output"]["shape"][1] = 3
    assert algorithm_of(bundle, 0.25).threshold is None, "the largest of several decided"
