"""`s2m-edge reference`: what is kept, what moved, and whether it holds here."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from command_line import Run
from s2m_edge.checkpoint import read_header
from s2m_edge.cli.main import main
from s2m_edge.deploy.reference_store import keep_record, read_record, record_files
from support import assert_one_line_error


@pytest.fixture(scope="module")
def record(small_checkpoint: Path, onnx_bundle: Path, tmp_path_factory) -> Path:
    """A recorded reference of the small checkpoint over two real pictures, alone in its folder."""
    folder = tmp_path_factory.mktemp("record") / "references"
    options = ["--checkpoint", small_checkpoint, "--images", onnx_bundle.parent.parent / "pictures"]
    with pytest.raises(SystemExit) as caught:
        main([str(word) for word in ["reference", "record", *options, "--device", "cpu", "--out", folder]])
    assert not caught.value.code
    (found,) = record_files(folder)
    return found


@pytest.fixture
def store(record: Path, tmp_path: Path) -> Path:
    """A folder of references that a test may change."""
    return Path(shutil.copytree(record.parent, tmp_path / "store"))


def moved(record: Path, folder: Path, device: str = "") -> Path:
    """The record with its first picture's logits moved, in another folder."""
    found = read_record(record)
    golden = (replace(found.golden[0], logits=found.golden[0].logits + np.float32(0.5)), *found.golden[1:])
    stamp = {**found.stamp, **({"device": device} if device else {})}
    return keep_record(folder, replace(found, golden=golden, stamp=stamp, recorded="2020-01-01T00:00:00+00:00"))


def test_a_recorded_reference_says_where_it_was_made_and_how_exact_it_is(record: Path, small_checkpoint: Path):
    found = read_record(record)
    assert "float32, cpu" in found.device
    assert found.network == small_checkpoint.name
    assert found.weights_sha256 == read_header(small_checkpoint).weights_sha256
    assert 0 < found.float64_error < 1e-5
    assert found.stamp["torch"]
    assert len(found.golden) == 2


def test_recording_again_says_what_moved_and_keeps_both(
    run: Run, record: Path, store: Path, small_checkpoint: Path, onnx_bundle: Path
):
    asked = ("reference", "record", "--checkpoint", small_checkpoint, "--device", "cpu", "--out", store)
    asked += ("--images", onnx_bundle.parent.parent / "pictures")
    code, out, err = run(*asked)
    assert code == 0, err
    assert "nothing" in out
    assert f"{record.name} (there already)" in out
    assert len(record_files(store)) == 1
    earlier = moved(store / record.name, store, "cuda (a GPU)")
    code, out, err = run(*asked, "--json")
    values = json.loads(out)
    assert values["new"] is False
    by_device = {entry["device"]: entry for entry in values["moved"]}
    assert by_device["cuda (a GPU)"]["since"] == str(earlier)
    first, second = by_device["cuda (a GPU)"]["images"]
    assert first["max_probability_error"] > 1e-3
    assert second["max_probability_error"] == 0
    (store / record.name).unlink()
    code, out, err = run(*asked)
    assert code == 0, err
    assert f"moved since 2020-01-01T00:00:00+00:00, cuda (a GPU) ({earlier.name[:12]}):" in out
    assert "pixels changed their label" in out
    assert len(record_files(store)) == 2  # nothing was written over


def test_a_list_reads_each_file_and_names_the_damaged(run: Run, record: Path, store: Path):
    code, out, err = run("reference", "list", store, "--json")
    assert code == 0, err
    (entry,) = json.loads(out)
    assert entry["file"] == str(store / record.name)
    other = moved(record, store)
    other.write_bytes(other.read_bytes()[:-1])
    code, out, err = run("reference", "list", store)
    assert record.name in out
    assert_one_line_error(code, out, err, other.name, "Put the original back")
    assert_one_line_error(*run("reference", "list", store / "none"), "there is no folder", "reference record")


def test_a_reference_holds_where_the_network_answers_the_same(run: Run, record: Path, small_checkpoint: Path):
    code, out, err = run("reference", "verify", record, "--checkpoint", small_checkpoint)
    assert code == 0, err
    assert "the reference holds" in out
    assert "0 pixels changed their label" in out


def test_one_that_does_not_hold_ends_with_1(run: Run, record: Path, small_checkpoint: Path, tmp_path: Path):
    asked = ("reference", "verify", moved(record, tmp_path), "--checkpoint", small_checkpoint, "--json")
    code, out, err = run(*asked)
    assert_one_line_error(code, out, err, "does not hold on PyTorch eager", expected=1)
    values = json.loads(out)
    assert values["passed"] is False
    assert values["gate"] == "float32"
    assert values["breaches"]


def test_the_network_of_a_reference_must_be_found(run: Run, record: Path):
    assert_one_line_error(*run("reference", "verify", record), "none of the bundled networks", "--checkpoint")
    assert_one_line_error(*run("reference", "verify", record, "--checkpoint", "polyp"), "another checkpoint")
    both = ("--network", "a:b", "--checkpoint", "polyp")
    assert_one_line_error(*run("reference", "verify", record, *both), "Give one of them")


def test_two_references_are_compared_with_what_made_them(run: Run, record: Path, tmp_path: Path):
    other = moved(record, tmp_path, "cuda (a GPU)")
    code, out, err = run("reference", "compare", other, record)
    assert code == 0, err
    assert "device: cuda (a GPU) -> PyTorch eager, float32, cpu" in out
    assert "nothing moved" not in out
    code, out, err = run("reference", "compare", record, record, "--json")
    assert json.loads(out)["made_with"] == {}


def test_parity_can_be_measured_against_a_record(run: Run, record: Path, onnx_bundle: Path, small_checkpoint: Path):
    arguments = ("parity", onnx_bundle, "--checkpoint", small_checkpoint, "--reference", record, "--json")
    code, out, err = run(*arguments)
    assert code == 0, err
    report = json.loads(out)
    assert report["image_count"] == 2
    assert report["reference_device"].startswith("recorded: PyTorch eager, float32, cpu")
    assert 0 < report["summary"]["max_probability_error"] < 1e-4


def test_a_record_that_differs_fails_the_gate(
    run: Run, record: Path, onnx_bundle: Path, small_checkpoint: Path, tmp_path: Path
):
    arguments = ("--checkpoint", small_checkpoint, "--reference", moved(record, tmp_path))
    name = read_record(record).golden[0].name
    assert_one_line_error(*run("parity", onnx_bundle, *arguments), name, expected=1)


def test_a_record_of_another_checkpoint_or_none_is_refused(
    run: Run, record: Path, onnx_bundle: Path, small_checkpoint: Path, tmp_path: Path
):
    found = read_record(record)
    asked = ("parity", onnx_bundle, "--checkpoint", small_checkpoint, "--reference")
    for key, words in (("weights_sha256", "another checkpoint"), ("spec_sha256", "another size, threshold")):
        other = keep_record(tmp_path, replace(found, stamp={**found.stamp, key: "0" * 64}))
        assert_one_line_error(*run(*asked, other), words)
    assert_one_line_error(*run(*asked, tmp_path / "none.safetensors"), "s2m-edge reference record")
    assert_one_line_error(*run(*asked, onnx_bundle / "golden.safetensors"), "no recorded reference")
    assert_one_line_error(*run(*asked, record, "--images", tmp_path), "--reference brings its own images")


def test_a_gpu_record_is_never_claimed_without_a_gpu(run: Run, small_checkpoint: Path, tmp_path: Path, record: Path):
    import torch

    if torch.cuda.is_available():
        pytest.skip("a CUDA device is here, so the refusal cannot be seen")
    asked = ("reference", "record", "--checkpoint", small_checkpoint, "--out", tmp_path / "x")
    assert_one_line_error(*run(*asked, "--device", "cuda"), "no CUDA device", "--device cpu")
    assert_one_line_error(*run(*asked, "--device", "tpu"), "there is no device 'tpu'")
    assert_one_line_error(*run("reference", "verify", record, "--device", "cuda"), "no CUDA device")
    assert not (tmp_path / "x").exists()


def test_a_place_that_cannot_be_written_is_refused_before_the_work(run: Run, small_checkpoint: Path, tmp_path: Path):
    (tmp_path / "file").write_text("years of work")
    asked = ("reference", "record", "--checkpoint", small_checkpoint, "--device", "cpu", "--out", tmp_path / "file")
    assert_one_line_error(*run(*asked), "cannot be written")
    assert (tmp_path / "file").read_text() == "years of work"
