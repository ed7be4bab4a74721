"""The comparison of variants: every run is kept as it ends, and no other kind of run is taken for one of its own."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import ablation
from s2m_edge.checkpoint import save_checkpoint
from s2m_edge.errors import CheckpointError, ConfigurationError
from s2m_edge.files import file_sha256
from s2m_edge.train.recipe import parse_phase, read_recipe
from support import lively_network, write_sample_folder


def variants_of(runs: list[dict[str, Any]]) -> list[tuple[str, int]]:
    return [(run["variant"], run["seed"]) for run in runs]


def test_taught_variants_begin_alike_are_kept_apart_from_others_and_are_not_run_twice(
    tmp_path: Path, monkeypatch, capsys
):
    data = write_sample_folder(tmp_path / "data", ("train", "train", "val"), "polyp")
    teacher = tmp_path / "teacher.safetensors"
    save_checkpoint(teacher, lively_network(), {})
    out = tmp_path / "runs.json"
    monkeypatch.setattr(ablation, "SEEDS", (42,))
    arguments = ["--data", f"polyp={data}", "--phase", "96:1:2:0.001", "--out", str(out)]
    titles = ["S2M-Net without SSTM, Dice + cross-entropy", "U-Net (MONAI, residual), Dice + cross-entropy"]
    taught = [*arguments, "--teacher", str(teacher), "--variant", *titles]

    assert ablation.main(taught) == 0
    (run,) = json.loads(out.read_text())["runs"]
    assert (run["variant"], run["teachers"], run["precision"]) == (titles[0], [file_sha256(teacher)], "32-true")
    assert 0.0 <= run["validation_dice"] <= 1.0
    assert run["validation_dice_after"] == {"1": run["validation_dice"]}
    assert 4.4e6 < run["parameters"] < 4.6e6, "a variant without SSTM has fewer"
    assert f"| {titles[0]} |" in capsys.readouterr().out

    def refuse(*_: object) -> dict[str, Any]:
        raise AssertionError("it was run again")

    with monkeypatch.context() as patch:
        patch.setattr(ablation, "train_variant", refuse)
        assert ablation.main(taught) == 0
        with pytest.raises(AssertionError, match="run again"):
            ablation.main([*taught, "--precision", "bf16-mixed"])
        save_checkpoint(teacher, lively_network(), {"seed": 2})
        with pytest.raises(AssertionError, match="run again"):
            ablation.main(taught)
        patch.setattr(ablation, "train_variant", lambda *_: {"validation_dice": 0.5, "parameters": 1, "seconds": 0})
        assert ablation.main([*arguments, "--variant", *titles]) == 0
    runs = json.loads(out.read_text())["runs"]
    assert variants_of(runs) == [(titles[0], 42), (titles[0], 42), (titles[1], 42)], (
        "the taught one was taken for another"
    )
    assert f"| {titles[0]} | 0.00 M | 0.500, 1 seed |" in capsys.readouterr().out, "the table mixes runs of two kinds"


@pytest.mark.parametrize(
    ("epochs", "every"), [(1, 1), (2, 1), (3, 1), (4, 1), (7, 1), (8, 2), (10, 2), (20, 5), (300, 75)]
)
def test_a_run_is_scored_four_times_or_more_and_at_its_end(epochs: int, every: int):
    assert ablation.scored_every(epochs) == every


def test_scores_on_the_way_change_nothing(tmp_path: Path, monkeypatch):
    data = write_sample_folder(tmp_path / "data", ("train", "train", "val"), "polyp")
    variant = next(each for each in ablation.VARIANTS if each.title == "S2M-Net without SSTM, Dice + cross-entropy")
    recipe = replace(read_recipe("polyp"), phases=(parse_phase("96:2:2:0.01"),))
    often = ablation.train_variant(variant, recipe, data, 42, "32-true")
    monkeypatch.setattr(ablation, "scored_every", lambda epochs: epochs)
    once = ablation.train_variant(variant, recipe, data, 42, "32-true")
    assert (list(often["validation_dice_after"]), list(once["validation_dice_after"])) == (["1", "2"], ["2"])
    assert often["validation_dice"] == once["validation_dice"] > 0


def test_what_is_added_is_told_by_pairs_of_one_seed_with_an_interval(tmp_path: Path, monkeypatch, capsys):
    phase, out = "128:8:8:0.002", tmp_path / "runs.json"
    scores = {
        "S2M-Net, MASL": {42: 0.70, 123: 0.72, 456: 0.71},
        "S2M-Net without SSTM, MASL": {42: 0.68, 123: 0.71, 456: 0.68},
        "S2M-Net, Dice + cross-entropy": {123: 0.66},
    }
    runs = [
        {"variant": variant, "data": "polyp", "seed": seed, "phase": phase, "validation_dice": dice, "parameters": 10}
        for variant, found in scores.items()
        for seed, dice in found.items()
    ]
    out.write_text(json.dumps({"runs": runs}))
    options = ["--data", "polyp=/nowhere", "--phase", phase, "--out", str(out), "--table"]
    assert ablation.main(options) == 0
    shown = capsys.readouterr().out.splitlines()
    # Differences 0.02, 0.01 and 0.03: mean 0.02, deviation 0.01, and 4.3027 of its standard errors at two degrees.
    assert "| SSTM, under MASL | +0.020 (-0.005 to +0.045), 3 seeds |" in shown
    assert "| MASL instead of Dice + cross-entropy, with SSTM | +0.060, 1 seed |" in shown
    assert not [
        line
        for line in shown
        if line.startswith(("| SSTM, under Dice", "| MASL instead of Dice + cross-entropy, without"))
    ]


def test_runs_of_earlier_versions_count_as_untaught_in_float32(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setattr(ablation, "SEEDS", (42,))
    title = "S2M-Net, MASL"
    run = {"variant": title, "data": "polyp", "seed": 42, "phase": "96:1:2:0.001", "validation_dice": 0.25}
    (tmp_path / "runs.json").write_text(json.dumps({"runs": [{**run, "parameters": 4_640_000}]}))
    options = ["--data", "polyp=/nowhere", "--phase", "96:1:2:0.001", "--out", str(tmp_path / "runs.json")]
    assert ablation.main([*options, "--variant", title]) == 0
    assert "| 0.250, 1 seed |" in capsys.readouterr().out


def test_a_teacher_that_is_not_there_or_of_other_classes_is_refused_before_anything_is_trained(tmp_path: Path):
    arguments = ["--data", "polyp=/data", "--phase", "96:1:2:0.001", "--out", str(tmp_path / "runs.json"), "--teacher"]
    with pytest.raises(CheckpointError, match="nowhere"):
        ablation.main([*arguments, "/nowhere.safetensors"])
    save_checkpoint(tmp_path / "three.safetensors", lively_network(classes=3), {})
    with pytest.raises(CheckpointError, match="has 3 classes, its student 1"):
        ablation.main([*arguments, str(tmp_path / "three.safetensors")])
    assert not (tmp_path / "runs.json").exists()


def test_data_without_a_folder_or_a_phase_is_refused():
    with pytest.raises(ConfigurationError, match="RECIPE=FOLDER"):
        ablation.main(["--data", "polyp", "--phase", "96:1:2:0.001"])
    with pytest.raises(ConfigurationError, match="1 data sets have 2 phases"):
        ablation.main(["--data", "polyp=/data", "--phase", "96:1:2:0.001", "96:1:2:0.001"])
