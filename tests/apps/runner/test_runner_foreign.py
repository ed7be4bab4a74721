"""The board's program with a network that is not S2M-Net: a rectangle, mean and deviation of ImageNet, no filter."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torch import Tensor, nn

from foreign_network import assert_same_decisions
from runner_support import Run, run_on_a_terminal
from s2m_edge.imaging.preprocess import fit_to_network
from s2m_edge.imaging.read import read_image
from s2m_edge.imaging.window import Window, bands, window_count
from s2m_edge.samples import sample_images
from s2m_edge.targets.measure.parity.compare import compare
from s2m_edge.targets.measure.parity.gates import GATES, breaches
from s2m_edge.targets.opening import open_runner
from s2m_edge.targets.predict import predict_image

pytest.importorskip("executorch")

ROUNDING = 1e-5
"""Probability. What the order of float32 sums makes."""


class Fragile(nn.Module):
    """A network whose logits are no numbers for pictures of one colour."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        first = image[:, :1]
        contrast = first.amax((1, 2, 3), keepdim=True) - first.amin((1, 2, 3), keepdim=True)
        return self.network(image) * (contrast / contrast)


@dataclass(frozen=True)
class Given:
    """What `export_foreign` takes."""

    network: nn.Module
    spec: Any


@pytest.fixture(scope="module")
def pictures(polyp_images: list[Path], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Real pictures as PNG, one wide, one high, one grey."""
    folder = tmp_path_factory.mktemp("foreign-pictures")
    paths = [folder / "wide.png", folder / "high.png", folder / "heart.png"]
    with Image.open(polyp_images[3]) as picture:
        picture.crop((20, 40, 321, 197)).save(paths[0])
        picture.crop((60, 10, 161, 317)).save(paths[1])
    with Image.open(sample_images("cardiac")[0]) as picture:
        picture.save(paths[2])
    return paths


@pytest.mark.parametrize("name", ["foreign", "foreign_classes"])
def test_masks_and_probabilities_of_a_rectangle_are_pythons(
    name: str, export_foreign: Any, run: Run, pictures: list[Path], tmp_path: Path, request: pytest.FixtureRequest
):
    foreign = request.getfixturevalue(name)
    bundle = export_foreign(foreign, "executorch")
    values = bundle.contract.values
    assert values["spectral"] == "none"
    assert values["input"]["normalised_inside"] is False, "the program has to apply mean and deviation"
    done = run(bundle.folder, *pictures, "--out", tmp_path, "--probabilities", "--json")
    assert done.code == 0, done.err
    assert (done.values["network"], done.values["architecture"]) == ("plain-unet", "plain U-Net")
    assert done.values["self_test"]["passed"] is True
    assert len(done.values["images"]) == len(pictures)
    runner, gate = open_runner(bundle), GATES["float32"]
    assert gate.probability_error is not None
    for path, entry in zip(pictures, done.values["images"], strict=True):
        image = read_image(path)
        found = np.load(entry["probabilities"])
        reference = foreign.probabilities(image)
        assert found.shape == reference.shape == foreign.spec.output_shape
        assert not breaches(gate, compare(path.name, reference, found, 0.5, 0.0))
        saved = np.asarray(Image.open(entry["mask"]))
        labels = (saved == 255).astype(np.uint8) if foreign.spec.outputs == 1 else saved
        assert labels.shape == image.shape[:2]
        assert len(np.unique(labels)) > 1
        edge = runner.predict(fit_to_network(image, foreign.spec.preprocessing))
        assert_same_decisions(labels, edge, 0.5, ROUNDING)
        assert_same_decisions(labels, reference, 0.5, gate.probability_error)
        assert (labels == predict_image(bundle, runner, path).labels).mean() >= gate.mask_agreement
        areas = [int((labels == number).sum()) for number in range(1, len(foreign.spec.classes) + 1)]
        assert list(entry["area_pixels"].values()) == areas


def test_the_text_names_the_network_and_no_filter(foreign: Any, export_foreign: Any, run: Run):
    done = run(export_foreign(foreign, "executorch").folder, "--self-test")
    assert done.code == 0, done.err
    assert done.out.startswith("plain-unet, ExecuTorch 1.")
    assert "spectral" not in done.out
    assert "S2M" not in done.out


def test_mean_and_deviation_that_were_lost_fail_the_self_test(
    foreign: Any, export_foreign: Any, run: Run, pictures: list[Path], tmp_path: Path
):
    folder = export_foreign(foreign, "executorch").folder
    contract = json.loads((folder / "contract.json").read_text())
    contract["preprocessing"].update(mean=[0.0, 0.0, 0.0], standard_deviation=[1.0, 1.0, 1.0])
    (folder / "contract.json").write_text(json.dumps(contract))
    done = run(folder, pictures[0], "--out", tmp_path / "out")
    done.assert_refused(1, "self-test failed")
    assert not list((tmp_path / "out").iterdir())


def test_a_network_that_slides_gives_what_python_gives_and_keeps_stdout_clean(
    foreign: Any, export_foreign: Any, run: Run, native_program: Path, pictures: list[Path], tmp_path: Path
):
    spec = replace(foreign.spec, name="sliding-unet", window=Window())
    bundle = export_foreign(Given(foreign.network, spec), "executorch")
    side, small = (spec.height, spec.width), tmp_path / "small.png"
    with Image.open(pictures[0]) as picture:
        picture.crop((0, 0, 120, 61)).save(small)  # lower than a window
    paths = [*pictures[:2], small]
    done = run(bundle.folder, *paths, "--out", tmp_path / "out", "--probabilities", "--json")
    assert (done.code, done.err) == (0, "")
    assert done.values["proved"] is True
    runner = open_runner(bundle)
    for path, entry in zip(paths, done.values["images"], strict=True):
        image = read_image(path)
        height, width = image.shape[:2]
        assert entry["windows"] == window_count(height, width, side, Window()) > 1
        expected = np.concatenate(
            [
                found
                for _, found in bands(
                    lambda part: runner.predict(fit_to_network(part, spec.preprocessing)), image, side, Window()
                )
            ],
            axis=1,
        )
        found = np.load(entry["probabilities"])
        assert found.shape == expected.shape == (1, height, width)
        assert np.abs(found - expected).max() < ROUNDING
        labels = (np.asarray(Image.open(entry["mask"])) == 255).astype(np.uint8)
        assert_same_decisions(labels, expected, 0.5, ROUNDING)
        assert 0 < labels.mean() < 1
    seen = run_on_a_terminal(native_program, bundle.folder, paths[0], "--out", tmp_path / "seen", "--json")
    assert seen.code == 0, seen.err
    count = done.values["images"][0]["windows"]
    assert f"wide.png: window 1 of {count}" in seen.err
    assert seen.err.endswith(" \r"), "the line is wiped"
    assert seen.values["images"][0]["windows"] == count


def test_an_answer_that_is_no_number_becomes_no_mask_and_does_not_stop_the_others(
    foreign: Any, export_foreign: Any, run: Run, pictures: list[Path], tmp_path: Path
):
    spec = replace(foreign.spec, name="fragile-unet")
    folder = export_foreign(Given(Fragile(foreign.network).eval(), spec), "executorch").folder
    black = tmp_path / "black.png"
    Image.new("RGB", (90, 70)).save(black)
    done = run(folder, black, pictures[0], "--out", tmp_path / "out", "--probabilities", "--json")
    done.assert_refused(1, f"{black}: the artifact's answer is not a number; no mask is made of it")
    assert [entry["image"] for entry in done.values["images"]] == [str(pictures[0])]
    assert done.values["failures"] == [done.err.strip().removeprefix("error: ")]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "wide-mask.png",
        "wide-overlay.png",
        "wide-probabilities.npy",
    ]
