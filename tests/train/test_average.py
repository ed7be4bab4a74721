"""Averaging trained networks: the sum of their weights, and a record of where each of them came from."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from command_line import Run
from s2m_edge.checkpoint import load_model, read_header, save_checkpoint
from s2m_edge.errors import CheckpointError, ConfigurationError
from s2m_edge.network.model import S2MNet
from s2m_edge.train.average import VARIANCE, Share, average_checkpoints
from support import assert_one_line_error, lively_network

BEGINNING = {"size": 96, "seed": 1}  # the phase that the runs below have in common
Trained = Callable[..., Path]


@pytest.fixture
def trained(tmp_path: Path) -> Trained:
    """Writes a network as a run would have left it: `trained("a", seed=2, device="cpu")`."""

    def write(name: str, *, seed: int = 0, model: S2MNet | None = None, **provenance: Any) -> Path:
        path = tmp_path / f"{name}.safetensors"
        phases = [BEGINNING, {"size": 96, "seed": seed}]
        entries = {
            "class_names": ["polyp"],
            "domain": "polyp",
            "phases": phases,
            "validation_dice": 0.8,
            "test_dice": 0.7,
        }
        save_checkpoint(path, model or lively_network(seed=seed), {**entries, **provenance})
        return path

    return write


def weights(path: Path, size: int | None = None) -> dict[str, torch.Tensor]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {name: value.double() for name, value in load_model(path, size=size).state_dict().items()}


def assert_weights(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    """Equal but for the rounding of storage."""
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-3, atol=1e-6, msg=name)


def test_every_weight_and_statistic_is_the_mean_of_the_runs(trained: Trained, tmp_path: Path):
    first, second = trained("first", seed=1), trained("second", seed=2)
    average_checkpoints([Share(first, 0.5), Share(second, 0.5)], tmp_path / "mean.safetensors")
    one, two = weights(first), weights(second)
    assert_weights(weights(tmp_path / "mean.safetensors"), {name: (one[name] + two[name]) / 2 for name in one})


def test_what_one_training_changed_is_carried_over_to_another_network(trained: Trained, tmp_path: Path):
    base, other = lively_network(seed=1), lively_network(seed=2)
    changed = lively_network(seed=1)
    with torch.no_grad():
        changed.head[-1].bias += 0.25  # type: ignore[union-attr, operator]
    paths = trained("other", model=other), trained("changed", model=changed), trained("base", model=base)
    out = tmp_path / "carried.safetensors"
    average_checkpoints([Share(path, factor) for path, factor in zip(paths, (1, 1, -1), strict=True)], out)
    expected = weights(paths[0])
    expected["head.5.bias"] += 0.25
    assert_weights(weights(out), expected)


def test_runs_at_other_sizes_are_averaged_at_the_size_that_is_asked_for(trained: Trained, tmp_path: Path):
    small, large = trained("small", seed=1), trained("large", model=lively_network(128, seed=2))
    shares = [Share(small, 0.25), Share(large, 0.75)]
    with pytest.raises(ConfigurationError, match=r"96, 128 pixels.*--size"):
        average_checkpoints(shares, tmp_path / "mean.safetensors")
    header = average_checkpoints(shares, tmp_path / "mean.safetensors", size=128)
    assert header.config.size == 128
    one, two = weights(small, 128), weights(large)
    assert_weights(weights(tmp_path / "mean.safetensors"), {name: 0.25 * one[name] + 0.75 * two[name] for name in one})


def test_the_record_names_what_was_summed_and_claims_no_figure_of_it(trained: Trained, tmp_path: Path):
    first, second = trained("first", seed=1, device="cpu"), trained("second", seed=2, device="NVIDIA H100")
    header = average_checkpoints([Share(first, 0.5), Share(second, 0.5)], tmp_path / "mean.safetensors")
    shared, summed = header.provenance["phases"]
    assert shared == BEGINNING
    assert summed["size"] == 96
    assert [term["factor"] for term in summed["of"]] == [0.5, 0.5]
    assert [term["sha256"] for term in summed["of"]] == [read_header(path).sha256 for path in (first, second)]
    assert [term["phases"] for term in summed["of"]] == [[{"size": 96, "seed": 1}], [{"size": 96, "seed": 2}]]
    assert header.provenance["domain"] == "polyp"
    assert not {"device", "validation_dice", "test_dice"} & header.provenance.keys()


def test_a_sum_that_is_no_network_is_refused(trained: Trained, tmp_path: Path):
    low, high = lively_network(seed=1), lively_network(seed=1)
    name = next(name for name in high.state_dict() if name.endswith(VARIANCE))
    high.state_dict()[name] += 5.0
    shares = [Share(trained("low", model=low), 2), Share(trained("high", model=high), -1)]
    with pytest.raises(CheckpointError, match=f"{name} is not positive"):
        average_checkpoints(shares, tmp_path / "sum.safetensors")
    assert not (tmp_path / "sum.safetensors").exists()


def test_networks_that_do_not_belong_together_are_refused(
    trained: Trained, small_quantized_checkpoint: Path, tmp_path: Path
):
    own = trained("own")
    for other, reason in (
        (trained("grey", model=lively_network(in_channels=1)), "another layout"),
        (trained("tumours", class_names=["tumour"]), "tumour"),
        (small_quantized_checkpoint, "quantized already"),
    ):
        with pytest.raises(CheckpointError, match=reason):
            average_checkpoints([Share(own, 0.5), Share(other, 0.5)], tmp_path / "mean.safetensors")
    assert not (tmp_path / "mean.safetensors").exists()


def test_the_command_averages_evenly_unless_factors_are_given(run: Run, trained: Trained, tmp_path: Path):
    first, second, out = trained("first", seed=1), trained("second", seed=2), tmp_path / "mean.safetensors"
    code, printed, _ = run("average", first, second, "--out", out)
    assert code == 0
    assert read_header(out).sha256[:16] in printed
    assert [term["factor"] for term in read_header(out).provenance["phases"][-1]["of"]] == [0.5, 0.5]
    code, printed, _ = run("average", first, second, "--factors", "0.25,0.75", "--out", out, "--json")
    assert code == 0
    found = {"file": str(out), "sha256": read_header(out).sha256, "checkpoints": 2, "factors": [0.25, 0.75]}
    assert json.loads(printed) == found
    assert [term["factor"] for term in read_header(out).provenance["phases"][-1]["of"]] == [0.25, 0.75]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--factors", "1"], "1 factors for 2 checkpoints"),
        (["--factors", "one,two"], "no list of numbers"),
        (["--factors", "0.5,0.6"], "sum to 1.1"),
        (["--factors", "inf,-inf"], "holds no finite number"),
        (["--size", "100"], "100"),
    ],
)
def test_the_command_says_in_one_line_what_is_wrong(
    run: Run, trained: Trained, tmp_path: Path, words: list[str], reason: str
):
    out = tmp_path / "mean.safetensors"
    result = run("average", trained("first", seed=1), trained("second", seed=2), "--out", out, *words)
    assert_one_line_error(*result, reason)
    assert not out.exists()


def test_one_checkpoint_and_a_missing_one_are_told_apart(run: Run, trained: Trained, elsewhere: Path):
    assert_one_line_error(*run("average", trained("first")), "at least two")
    assert_one_line_error(*run("average", trained("first"), "missing.safetensors"), "there is no checkpoint")
    assert not list(elsewhere.iterdir())
