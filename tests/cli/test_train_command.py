"""`s2m-edge train`: what it refuses before it starts, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support import write_sample_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_sample_folder(tmp_path / "data", ("train", "train", "val"), "polyp")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("train",), "no recipe was given. Choose one of cardiac"),
        (("train", "lung", "--data", "DATA"), "there is no recipe 'lung'"),
        (("train", "polyp"), "no data was given"),
        (("train", "polyp", "--data", "DATA", "--size", "100"), "phases.0.size"),
        (("train", "polyp", "--data", "DATA", "--loss", "hinge"), "loss"),
        (("train", "polyp", "--data", "DATA", "--phase", "96"), "is not SIZE:EPOCHS:BATCH:RATE"),
        (("train", "polyp", "--data", "NOWHERE"), "there is no folder"),
        (("train", "polyp", "--data", "DATA", "--start", "NOWHERE"), "there is no checkpoint"),
        (("train", "polyp", "--data", "DATA", "--strategy", "nope"), "this machine cannot train so"),
        (("train", "polyp", "--data", "DATA", "--accelerator", "hpu"), "--accelerator"),
        (("train", "--resume"), "nothing names the run to resume"),
        (("train", "--resume", "--out", "RUN"), "holds no run to resume"),
        (("train", "--resume", "--out", "RUN", "--epochs", "3"), "a resumed run keeps its recipe and data"),
    ],
)
def test_a_wrong_request_is_one_line_and_leaves_no_folder(run, folder: Path, tmp_path: Path, arguments, words):
    places = {"DATA": folder, "NOWHERE": tmp_path / "nowhere", "RUN": tmp_path / "run"}
    options = () if "--out" in arguments or "--resume" in arguments else ("--out", tmp_path / "run")
    code, out, err = run(*(places.get(argument, argument) for argument in arguments), *options)
    assert code == 2, err
    assert words in " ".join(err.split())
    assert not out
    assert not (tmp_path / "run").exists()


def interrupt_in_the_second_epoch(run, folder: Path, place: Path, *options: str) -> tuple[int, str]:
    """Start a run of two epochs, and press Ctrl-C in the second: the exit code and what was said."""
    from s2m_edge.train.module import SegmentationModule

    real = SegmentationModule.training_step

    def stop(self, batch, index):
        if self.current_epoch == 1:
            raise KeyboardInterrupt
        return real(self, batch, index)

    fixed = ("--phase", "96:2:2:0.001", "--loss", "dice_ce", "--accelerator", "cpu")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(SegmentationModule, "training_step", stop)
        code, _, err = run("train", "polyp", "--data", folder, "--out", place, *fixed, *options)
    return code, err


def test_an_interrupted_run_says_how_to_go_on_and_goes_on(run, folder: Path, tmp_path: Path):
    place = tmp_path / "run"
    code, err = interrupt_in_the_second_epoch(run, folder, place)
    assert code == 130
    words = " ".join(err.split())
    assert words.endswith(f"interrupted; go on with: s2m-edge train --resume --out {place}")
    assert words.count("interrupted;") == 1
    code, out, err = run("train", "--resume", "--out", place, "--accelerator", "cpu", "--json")
    assert code == 0, err
    assert "epoch 2/2" in err
    assert "epoch 1/2" not in err
    found = json.loads(out)
    assert (found["run"], found["checkpoint"]) == (str(place), str(place / "phase-1" / "best.safetensors"))
    assert 0 <= found["validation_dice"] <= 1
    assert Path(found["checkpoint"]).is_file()


def test_a_resumed_run_keeps_its_precision(run, folder: Path, tmp_path: Path):
    import torch

    from s2m_edge.network.blocks import ConvNorm

    place = tmp_path / "run"
    assert interrupt_in_the_second_epoch(run, folder, place, "--precision", "bf16-mixed")[0] == 130
    code, _, err = run("train", "--resume", "--out", place, "--accelerator", "cpu", "--precision", "32-true")
    assert code == 2
    assert "the run began in precision bf16-mixed" in err
    seen: set[torch.dtype] = set()
    forward = ConvNorm.forward

    def watched(self, *arguments):
        found = forward(self, *arguments)
        if self.training:
            seen.add(found.dtype)
        return found

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ConvNorm, "forward", watched)
        code, _, err = run("train", "--resume", "--out", place, "--accelerator", "cpu")
    assert code == 0, err
    assert seen == {torch.bfloat16}


def test_a_resumed_run_stays_compiled_or_not(run, folder: Path, tmp_path: Path):
    from s2m_edge.network.model import S2MNet

    place = tmp_path / "run"
    compiled: list[S2MNet] = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(S2MNet, "compile", lambda network: compiled.append(network))
        assert interrupt_in_the_second_epoch(run, folder, place, "--compile")[0] == 130
        assert len(compiled) == 1
        code, _, err = run("train", "--resume", "--out", place, "--accelerator", "cpu")
        assert code == 0, err
        assert len(compiled) == 2
        assert interrupt_in_the_second_epoch(run, folder, tmp_path / "plain")[0] == 130
        code, _, err = run("train", "--resume", "--out", tmp_path / "plain", "--accelerator", "cpu", "--compile")
    assert code == 2
    assert "the run began without --compile" in err
    assert len(compiled) == 2
