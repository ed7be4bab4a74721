"""What the board's program refuses: damaged bundles, failed self-tests, wrong requests. Nothing is written then."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from runner_support import Run

GOLDEN, CONTRACT, PARITY, ARTIFACT = "golden.safetensors", "contract.json", "parity.json", "s2mnet.pte"


@pytest.fixture
def copy(bundle: Path, tmp_path: Path) -> Path:
    """A bundle that a test may damage."""
    return Path(shutil.copytree(bundle, tmp_path / "copy"))


def edit(path: Path, change: Callable[[dict], object]) -> None:
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


def test_a_self_test_that_fails_is_red_writes_no_mask_and_exits_with_one(
    copy: Path, run: Run, polyp_images: list[Path], tmp_path: Path
):
    with safe_open(copy / GOLDEN, framework="numpy") as file:
        metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    tensors["logits.0"] = tensors["logits.0"] + np.float32(0.01)
    save_file(tensors, copy / GOLDEN, metadata)
    done = run(copy, polyp_images[0], "--out", tmp_path / "out", "--json")
    done.assert_refused(1, "self-test failed", "largest probability error", "No mask was written")
    values = done.values
    assert values["self_test"]["passed"] is False
    assert values["self_test"]["images"][0]["breaches"]
    assert values["images"] == []
    assert not list((tmp_path / "out").iterdir())
    run(copy, "--self-test").assert_refused(1, "self-test failed")


def test_an_artifact_that_was_changed_is_never_loaded(copy: Path, run: Run):
    garbled = bytearray((copy / ARTIFACT).read_bytes())
    garbled[64:2064] = np.random.default_rng(0).bytes(2000)  # the runtime would end the process over these
    (copy / ARTIFACT).write_bytes(bytes(garbled))
    run(copy, "--self-test").assert_refused(2, ARTIFACT, "SHA-256 differs")
    (copy / ARTIFACT).unlink()
    run(copy, "--self-test").assert_refused(2, "lacks", ARTIFACT)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (CONTRACT, b'{"schema_version": 1', "ends too early"),
        (CONTRACT, b"\xff\xfe{}", "not readable JSON"),
        (CONTRACT, b"[" * 100_000, "too deeply nested"),
        (CONTRACT, b"{}", "there is no 'schema_version'"),
        (PARITY, b"null", "an object was due"),
        (PARITY, b'{"gate": {"mask_agreement": 0.9, "hausdorff": 2}}', "does not know, hausdorff"),
        (GOLDEN, b"\xff" * 16, "truncated"),
        (GOLDEN, b"\x02" + b"\0" * 7 + b"{}", "lacks 'count'"),
    ],
)
def test_damaged_files_are_named(name: str, content: bytes, words: str, copy: Path, run: Run):
    (copy / name).write_bytes(content)
    run(copy, "--self-test").assert_refused(2, name, words)


@pytest.mark.parametrize("part", [0, 4, 100, 0.5, -1])
def test_truncated_golden_inputs_are_named(part: float, copy: Path, run: Run):
    whole = (copy / GOLDEN).read_bytes()
    (copy / GOLDEN).write_bytes(whole[: int(part * len(whole)) if isinstance(part, float) else part])
    run(copy, "--self-test").assert_refused(2, GOLDEN, "damaged")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda values: values.update(schema_version=2), "newer than this runner reads"),
        (lambda values: values.update(target="onnx"), "s2m-edge export --target executorch"),
        (lambda values: values.update(notice="Fit for diagnosis."), "notice"),
        (lambda values: values["artifact"].update(file="../s2mnet.pte"), "no file name inside the bundle"),
        (lambda values: values["artifact"].update(sha256={}), "no SHA-256"),
        (lambda values: values["preprocessing"].update(size=-96), "no whole one"),
        (lambda values: values["preprocessing"].update(size=1e300), "no whole one"),
        (lambda values: values["preprocessing"].update(standard_deviation=[0, 0, 0]), "not positive"),
        (lambda values: values["preprocessing"].update(mean=[]), "fewer means"),
        (lambda values: values["output"].update(shape=[1, 2, 96, 96]), "activation"),
        (lambda values: values["postprocessing"].update(threshold="0.5"), "a number was due"),
        (lambda values: values["postprocessing"].update(threshold=7), "threshold"),
        (lambda values: values.update(classes=[]), "not as many classes"),
        (lambda values: values["classes"][0].update(colour=[0, 300, 0]), "from 0 to 255"),
        (lambda values: values["checkpoint"].update(sha256="0" * 64), "another checkpoint"),
    ],
)
def test_contracts_that_do_not_hold_are_refused(change: Callable[[dict], object], words: str, copy: Path, run: Run):
    edit(copy / CONTRACT, change)
    run(copy, "--self-test").assert_refused(2, words)


def test_a_contract_of_another_network_is_refused(copy: Path, run: Run):
    """Everything but the program says 128."""
    edit(copy / CONTRACT, lambda values: values["preprocessing"].update(size=128))
    edit(copy / CONTRACT, lambda values: values["output"].update(shape=[1, 1, 128, 128]))
    with safe_open(copy / GOLDEN, framework="numpy") as file:
        metadata = file.metadata()
    tensors = {
        "image.0": np.zeros((128, 128, 3), np.uint8),
        "logits.0": np.zeros((1, 128, 128), np.float32),
        "mask.0": np.zeros((128, 128), np.uint8),
    }
    save_file(tensors, copy / GOLDEN, metadata)
    run(copy, "--self-test").assert_refused(2, "does not take what its contract says")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ((), "no bundle was given"),
        (("BUNDLE",), "no image was given"),
        (("NOWHERE", "--self-test"), "is not a bundle"),
        (("BUNDLE", "EMPTY"), "holds no images"),
        (("BUNDLE", "IMAGE", "--self-test"), "takes no images"),
        (("BUNDLE", "--self-test", "--threads", "0"), "--threads takes a whole number"),
        (("BUNDLE", "--benchmark", "5x"), "--benchmark takes a whole number"),
        (("BUNDLE", "--benchmark"), "--benchmark takes a whole number"),
        (("BUNDLE", "IMAGE", "--threshold", "1.5"), "--threshold takes a number from 0 to 1"),
        (("BUNDLE", "IMAGE", "--threshold", "nan"), "--threshold takes a number from 0 to 1"),
        (("BUNDLE", "--selftest"), "there is no option --selftest"),
        (("BUNDLE", "IMAGE", "--out", "IMAGE"), "cannot be made"),
    ],
)
def test_wrong_requests_are_refused_in_one_line(
    words: tuple[str, ...], reason: str, bundle: Path, run: Run, polyp_images: list[Path], tmp_path: Path
):
    (tmp_path / "empty").mkdir()
    places = {
        "BUNDLE": bundle,
        "IMAGE": polyp_images[0],
        "NOWHERE": tmp_path / "nowhere",
        "EMPTY": tmp_path / "empty",
    }
    run(*(places.get(word, word) for word in words)).assert_refused(2, reason)


def test_help_and_version_take_no_bundle(run: Run):
    assert "usage: s2m_edge_runner" in run("--help").out
    assert "ExecuTorch 1." in run("--version").out


def test_the_benchmark_says_how_often_and_how_long(bundle: Path, run: Run):
    done = run(bundle, "--benchmark", "4", "--threads", "1", "--json")
    assert done.code == 0, done.err
    times = done.values["benchmark"]
    assert times["runs"] == 4
    assert 0 < times["p10_ms"] <= times["median_ms"] <= times["p90_ms"]
    assert done.values["threads"] == 1
    assert done.values["load_milliseconds"] > 0
    assert done.values["peak_memory_mebibytes"] > 10
    assert "Research use only" in run(bundle, "--benchmark", "1").out
