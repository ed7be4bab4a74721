"""What the desktop app writes, what its engine refuses, and how its command begins."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)

from s2m_edge.apps.desktop.canvas import overlay_pixels
from s2m_edge.apps.desktop.documents import Studies, open_documents
from s2m_edge.apps.desktop.engine import Engine, Segmentation, labels_of
from s2m_edge.apps.desktop.exporting import Request, export_results
from s2m_edge.apps.desktop.formats import USUAL
from s2m_edge.apps.desktop.table import TABLE
from s2m_edge.apps.vectors import INDEX_FILE, TENSORS_FILE, VECTORS
from s2m_edge.cli.main import main
from s2m_edge.deploy.bundle import Bundle
from s2m_edge.deploy.guard import GuardVerdict
from s2m_edge.errors import OutputError, ParityError
from s2m_edge.imaging.classes import default_classes
from s2m_edge.notice import NOTICE
from s2m_edge.targets.opening import open_runner
from s2m_edge.targets.predict import predict_image
from support import assert_one_line_error

Until = Callable[[Callable[[], object]], None]


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    values = np.random.default_rng(0).normal(size=(40, 60, 3)).cumsum(axis=0).astype(np.float32)
    path = tmp_path / "heart.nii.gz"
    nibabel.save(nibabel.Nifti1Image(values, np.diag([1.5, 1.5, 8.0, 1.0])), path)
    return path


def test_a_click_on_export_writes_masks_overlays_volume_and_table(
    window: Any,
    desktop_bundle: Bundle,
    until: Until,
    polyp_images: list[Path],
    volume: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest
    from PySide6.QtWidgets import QFileDialog

    picture = tmp_path / "=polyp.jpg"  # a spreadsheet would take this for a formula
    picture.write_bytes(polyp_images[0].read_bytes())
    window.open_paths([picture, volume])
    until(lambda: window.queue.list.count() == 2 and window.canvas.has_overlay)
    QTest.mouseClick(window.queue.run, Qt.MouseButton.LeftButton)
    until(lambda: not window.busy)
    out = tmp_path / "out"
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(out))
    QTest.mouseClick(window.queue.export, Qt.MouseButton.LeftButton)
    until(lambda: not window.busy)
    assert window.message.text() == f"exported 4 to {out}"
    runner = open_runner(desktop_bundle)
    expected = predict_image(desktop_bundle, runner, picture).labels
    assert np.array_equal(np.asarray(Image.open(out / "=polyp-mask.png")), expected * 255)
    slices = [predict_image(desktop_bundle, runner, volume, slice_index=index).labels for index in range(3)]
    for index, labels in enumerate(slices):
        assert np.array_equal(np.asarray(Image.open(out / f"heart-slice-00{index}-mask.png")), labels * 255)
        assert Image.open(out / f"heart-slice-00{index}-overlay.png").height > labels.shape[0], "the notice is below"
    written: Any = nibabel.load(out / "heart-mask.nii.gz")
    source: Any = nibabel.load(volume)
    assert np.array_equal(written.affine, source.affine)
    # The volume is stored towards right and front; its slices are shown towards left and back.
    assert np.array_equal(np.asarray(written.dataobj), np.stack(slices).transpose(2, 1, 0)[::-1, ::-1])
    with (out / TABLE).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["mask"], row["slice"]) for row in rows] == [
        ("'=polyp-mask.png", ""),
        *((f"heart-slice-00{index}-mask.png", str(index)) for index in range(3)),
    ]
    assert int(rows[0]["area_pixels"]) == int(expected.sum())
    assert float(rows[0]["area_fraction"]) == pytest.approx(expected.mean(), abs=1e-6)
    for row in rows:
        assert row["notice"] == NOTICE
        assert row["precision"] == "float32"
        assert float(row["network_milliseconds"]) > 0
        assert "CPU" in row["device"]
        assert row["unusual"] == "", "this bundle has no guard"
        assert row["weights_sha256"] == desktop_bundle.contract.weights_sha256


def test_an_export_that_is_stopped_has_a_table_of_what_was_written_and_no_half_of_a_study(
    desktop_bundle: Bundle, volume: Path, polyp_images: list[Path], tmp_path: Path
):
    out = tmp_path / "out"
    found = Segmentation(np.full((1, 96, 96), 0.7, np.float32), 60, 40, 1.0, 2.0, GuardVerdict(9.0, 5.0))
    (whole,), _ = open_documents([volume])
    (picture,), _ = open_documents(polyp_images[:1])
    answers = iter((False, False, True))
    results = [(picture, {0: replace(found, height=352, width=352)}), (whole, {0: found, 1: found})]
    request = Request(out, USUAL, desktop_bundle, "CPU", 0.5)
    done = export_results(request, results, Studies(), stopped=lambda: next(answers))
    assert done.stopped
    assert done.pictures == 1
    with (out / TABLE).open(newline="", encoding="utf-8") as file:
        assert [(row["unusual"], row["study"]) for row in csv.DictReader(file)] == [("yes", polyp_images[0].stem)]
    assert sorted(path.name for path in out.iterdir()) == sorted(
        [TABLE, f"{polyp_images[0].stem}-mask.png", f"{polyp_images[0].stem}-overlay.png"]
    )


@pytest.mark.parametrize(
    "theirs", ["heart-slice-001-mask.png", "heart-mask.nii.gz", TABLE, "heart-slice-000-overlay.png"]
)
def test_an_export_replaces_what_it_wrote_and_nothing_else(
    theirs: str, desktop_bundle: Bundle, volume: Path, tmp_path: Path
):
    found = Segmentation(np.full((1, 96, 96), 0.7, np.float32), 60, 40, 1.0, 2.0)
    out = tmp_path / "out"

    def export(source: Path) -> None:
        (document,), _ = open_documents([source])
        results = [(document, dict.fromkeys(range(3), found))]
        export_results(Request(out, USUAL, desktop_bundle, "CPU", 0.5), results, Studies())

    export(volume)
    first = {path.name: path.read_bytes() for path in out.iterdir()}
    export(volume)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == first, "once more, the same"
    other = tmp_path / "other" / volume.name
    other.parent.mkdir()
    nibabel.save(nibabel.Nifti1Image(np.zeros((40, 60, 3), np.float32), np.eye(4)), other)
    for name in first:
        if name != theirs:
            (out / name).unlink()
    kept = first[theirs]
    with pytest.raises(OutputError, match=theirs):
        export(other)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == {theirs: kept}


def test_no_mask_is_computed_before_the_self_test(desktop_bundle: Bundle):
    engine = Engine(desktop_bundle)
    with pytest.raises(ParityError, match="self-test"):
        engine.segment(np.zeros((96, 96, 3), np.uint8))


def test_the_contracts_vectors_are_repeated():
    """What the window does after the network, on every case that has one class or several."""
    index = json.loads((VECTORS / INDEX_FILE).read_text())
    tensors = load_file(VECTORS / TENSORS_FILE)
    for case in index["cases"]:
        name, outputs = case["name"], case["output"]["shape"][1]
        found = Segmentation(tensors[f"{name}.probabilities"], case["height"], case["width"], 0, 0)
        labels = labels_of(found.in_picture_size(), case["postprocessing"]["threshold"])
        assert np.array_equal(labels, tensors[f"{name}.mask"]), name
        drawn = overlay_pixels(labels, default_classes(outputs), 0.5, True, False)
        assert ((drawn[..., 3] == 128) == (labels > 0)).all(), name


def test_documents_know_their_slices_and_name_what_cannot_be_opened(
    volume: Path, polyp_images: list[Path], tmp_path: Path
):
    frames = [Image.fromarray(np.full((20, 20), value, np.uint8)) for value in (10, 90, 200)]
    frames[0].save(tmp_path / "stack.tif", save_all=True, append_images=frames[1:])
    (tmp_path / "bad.dcm").write_bytes(b"nothing")
    (tmp_path / "empty").mkdir()
    paths = [
        volume,
        tmp_path / "stack.tif",
        polyp_images[0],
        tmp_path / "bad.dcm",
        tmp_path / "empty",
        tmp_path / "none.png",
    ]
    documents, failures = open_documents(paths)
    assert [(document.path, document.slices) for document in documents] == [
        (volume, 3),
        (tmp_path / "stack.tif", 3),
        (polyp_images[0], 1),
    ]
    assert len(failures) == 3
    assert all(any(str(path) in str(failure) for failure in failures) for path in paths[3:])


@pytest.mark.parametrize(
    ("arguments", "environment", "words"),
    [
        ([], {"QT_QPA_PLATFORM": "", "DISPLAY": "", "WAYLAND_DISPLAY": ""}, ("no display", "s2m-edge predict")),
        (["--bundle", "BUNDLE", "--device", "NPU.7"], {}, ("no device 'NPU.7'", "CPU")),
        (["--bundle", "NOWHERE"], {}, ("is not a bundle",)),
        (["--precision", "float8"], {}, ("no precision",)),
    ],
)
def test_the_command_refuses_in_one_line(
    arguments: list[str],
    environment: dict[str, str],
    words: tuple[str, ...],
    desktop_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    places = {"BUNDLE": str(desktop_folder), "NOWHERE": str(tmp_path)}
    with pytest.raises(SystemExit) as ended:
        main(["demo", "desktop", *(places.get(word, word) for word in arguments)])
    assert isinstance(ended.value.code, int)
    printed = capsys.readouterr()
    assert_one_line_error(ended.value.code, str(printed.out), str(printed.err), *words)
