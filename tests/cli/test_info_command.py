"""`s2m-edge info` as a person reads it; what it says as JSON is in test_commands.py."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from command_line import Run
from s2m_edge.checkpoint import record_provenance


@pytest.fixture
def rows(run: Run, small_checkpoint: Path, tmp_path: Path):
    """The rows that `info` prints of a checkpoint with these entries in its provenance, name and value, in order."""

    def printed(**provenance: object) -> list[tuple[str, str]]:
        path = tmp_path / "trained.safetensors"
        shutil.copy(small_checkpoint, path)
        record_provenance(path, provenance)
        code, out, err = run("info", path, "--all")
        assert code == 0, err
        words = [line.split(maxsplit=1) for line in out.splitlines() if not line.startswith(" ")]
        return [(name, rest[0].strip() if rest else "") for name, *rest in words]

    return printed


def test_each_phase_of_a_training_is_a_row_and_so_is_what_an_average_was_made_of(rows):
    first, second = {"size": 96, "optimizer": "AdamW, cosine"}, {"size": 352, "seed": 21}
    average = {"size": 352, "of": [{"file": "a.safetensors", "factor": 0.5, "phases": [second]}]}
    found = dict(rows(phases=[first, average]))
    assert found["provenance.phases.1"] == "size 96; optimizer AdamW, cosine"
    assert found["provenance.phases.2"] == "size 352"
    assert found["provenance.phases.2.of.1"] == "file a.safetensors; factor 0.5"
    assert found["provenance.phases.2.of.1.phases.1"] == "size 352; seed 21"


def test_figures_come_before_the_history_and_a_long_list_of_hashes_is_counted(rows):
    hashes = {f"image_{number}": "0" * 64 for number in range(64)}
    found = rows(phases=[{"size": 96}], calibration={"sha256": hashes}, test_dice=0.861)
    names = [name for name, _ in found]
    assert names.index("provenance.test_dice") < names.index("provenance.phases.1")
    assert dict(found)["provenance.calibration.sha256"] == "64 entries, which --json prints"


def test_values_are_words_and_not_python(rows):
    found = dict(rows(class_names=["polyp", "fold"], windows=False, licence=None, nothing=[]))
    assert found["provenance.class_names"] == "polyp, fold"
    assert found["provenance.windows"] == "no"
    assert found["provenance.licence"] == found["provenance.nothing"] == "none"


def test_ten_lines_say_what_matters_and_all_says_the_rest(run: Run, onnx_bundle: Path):
    for given, words in (
        (
            "vessel",
            [
                "checkpoint",
                "256 x 256, classes: vessel",
                "CHASE_DB1",
                "test window 0.8",
                "8 images",
                "Not a medical device",
            ],
        ),
        (
            onnx_bundle,
            ["bundle", "onnx, float32, spectral filter: matmul", "passed, executed, largest error", "96 x 96"],
        ),
    ):
        code, out, err = run("info", given)
        assert code == 0
        assert len(out.splitlines()) <= 10
        assert "--all" in err
        for word in words:
            assert word in out
        assert len(run("info", given, "--all")[1].splitlines()) > 20


def test_a_row_in_a_pipe_is_one_line_however_long_its_path_is(
    run: Run, small_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("COLUMNS")
    folder = tmp_path / ("deep" * 30) / ("deeper" * 30)
    folder.mkdir(parents=True)
    path = Path(shutil.copy(small_checkpoint, folder))
    code, out, _ = run("info", path)
    assert code == 0
    assert any(line.split() == ["checkpoint", str(path)] for line in out.splitlines())
