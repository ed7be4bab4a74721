"""The comparison of variants: every run is kept as it ends, and no other kind of run is taken for one of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import ablation
from s2m_edge.checkpoint import save_checkpoint
from s2m_edge.errors import CheckpointError, ConfigurationError
from s2m_edge.files import file_sha256
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
