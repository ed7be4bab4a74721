"""The desktop app with a network that is not S2M-Net: a rectangle, mean and deviation of ImageNet, no filter."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from foreign_network import assert_same_decisions
from s2m_edge.apps.desktop.table import TABLE
from s2m_edge.deploy.bundle import Bundle
from s2m_edge.imaging.read import read_image
from s2m_edge.samples import sample_images
from s2m_edge.targets.measure.parity.gates import GATES
from s2m_edge.targets.opening import open_runner
from s2m_edge.targets.predict import predict_image

pytest.importorskip("openvino")
Until = Callable[[Callable[[], object]], None]


@pytest.mark.parametrize("name", ["foreign", "foreign_classes"])
def test_what_the_window_exports_is_what_python_predicts(
    name: str,
    export_foreign: Any,
    open_window: Callable[[Bundle], Any],
    until: Until,
    polyp_images: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
):
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest
    from PySide6.QtWidgets import QFileDialog

    foreign = request.getfixturevalue(name)
    bundle = export_foreign(foreign, "openvino")
    window = open_window(bundle)
    assert window.tools.badge.text() == "Self-test passed"
    wide = tmp_path / "wide.png"
    with Image.open(polyp_images[3]) as picture:
        picture.crop((20, 40, 321, 197)).save(wide)
    pictures = [wide, sample_images("cardiac")[0]]
    window.open_paths(pictures)
    until(lambda: window.queue.list.count() == 2 and window.canvas.has_overlay)
    QTest.mouseClick(window.queue.run, Qt.MouseButton.LeftButton)
    until(lambda: not window.busy)
    out = tmp_path / "out"
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(out))
    QTest.mouseClick(window.queue.export, Qt.MouseButton.LeftButton)
    until(lambda: not window.busy)
    runner, limit = open_runner(bundle), GATES["float32"].probability_error
    assert limit is not None
    for path in pictures:
        image = read_image(path)
        saved = np.asarray(Image.open(out / f"{path.stem}-mask.png"))
        labels = (saved == 255).astype(np.uint8) if foreign.spec.outputs == 1 else saved
        assert len(np.unique(labels)) > 1
        assert np.array_equal(labels, predict_image(bundle, runner, path).labels)
        assert_same_decisions(labels, foreign.probabilities(image), 0.5, limit)
    with (out / TABLE).open(newline="", encoding="utf-8") as file:
        assert {row["model"] for row in csv.DictReader(file)} == {"plain-unet"}


def test_the_window_names_the_network_its_sides_and_no_filter(
    foreign: Any, export_foreign: Any, open_window: Callable[[Bundle], Any]
):
    window = open_window(export_foreign(foreign, "openvino"))
    assert "S2M" not in window.windowTitle()
    lines = window.controls.model.text().splitlines()
    assert lines[:3] == ["plain-unet, 100 x 68", "plain U-Net", "float32"]
    assert len(lines) == 4, "nothing is said of training data, which the specification does not name"
    assert lines[3].startswith("OpenVINO 2")


def test_samples_of_every_kind_are_offered_where_the_network_names_none(
    foreign: Any, export_foreign: Any, open_window: Callable[[Bundle], Any], until: Until
):
    window = open_window(export_foreign(foreign, "openvino"))
    window.open_samples()
    until(lambda: window.queue.list.count() == len(sample_images(None)))
