"""What the board's program refuses: damaged bundles, failed self-tests, wrong requests. Nothing is written then."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from runner_support import Run
from s2m_edge.deploy.contract import contract_schema

README = Path(__file__).parents[3] / "apps" / "runner" / "README.md"
GOLDEN, CONTRACT, ARTIFACT = "golden.safetensors", "contract.json", "s2mnet.pte"


@pytest.fixture
def copy(bundle: Path, tmp_path: Path) -> Path:
    """A bundle that a test may damage."""
    return Path(shutil.copytree(bundle, tmp_path / "copy"))


def edit(path: Path, change: Callable[[dict], object]) -> None:
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


def hash_again(folder: Path, name: str) -> None:
    """Whoever changes a file and its hash gets past the hash."""
    digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    edit(folder / CONTRACT, lambda values: values["files"].update({name: digest}))


def test_a_self_test_that_fails_is_red_writes_no_mask_and_exits_with_one(
    copy: Path, run: Run, polyp_images: list[Path], tmp_path: Path
):
    with safe_open(copy / GOLDEN, framework="numpy") as file:
        metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    tensors["logits.0"] = tensors["logits.0"] + np.float32(0.01)
    save_file(tensors, copy / GOLDEN, metadata)
    hash_again(copy, GOLDEN)
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
        (CONTRACT, b"{}", "not a deployment contract"),
        (CONTRACT, b" " * (2**20 + 1), "longer than 1048576 bytes"),
        (GOLDEN, b"\xff" * 16, "truncated"),
        (GOLDEN, b"\x02" + b"\0" * 7 + b"{}", "lacks 'count'"),
    ],
)
def test_damaged_files_are_named(name: str, content: bytes, words: str, copy: Path, run: Run):
    (copy / name).write_bytes(content)
    if name != CONTRACT:
        hash_again(copy, name)
    run(copy, "--self-test").assert_refused(2, name, words)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_named_pipe_is_refused_and_not_waited_for(copy: Path, run: Run):
    (copy / ARTIFACT).unlink()
    os.mkfifo(copy / ARTIFACT)
    run(copy, "--self-test").assert_refused(2, ARTIFACT, "no regular file")


@pytest.mark.parametrize("part", [0, 4, 100, 0.5, -1])
def test_truncated_golden_inputs_are_named(part: float, copy: Path, run: Run):
    whole = (copy / GOLDEN).read_bytes()
    (copy / GOLDEN).write_bytes(whole[: int(part * len(whole)) if isinstance(part, float) else part])
    run(copy, "--self-test").assert_refused(2, GOLDEN, "SHA-256 differs")
    hash_again(copy, GOLDEN)
    run(copy, "--self-test").assert_refused(2, GOLDEN, "damaged")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda values: values.update(schema_version=3), "newer than this runner reads (2). Update the runner"),
        (lambda values: values.update(schema_version=1), "no longer reads (it reads 2). Export the bundle again."),
        (lambda values: values.update(spectral="fourier"), "spectral"),
        (lambda values: values.pop("network"), "has no 'network'"),
        (lambda values: values.update(plugin="\x1b[2J"), "unknown field, 'plugin'"),
        (lambda values: values.update(target="onnx"), "s2m-edge export --target executorch"),
        (lambda values: values.update(target="\x1b[2J"), "'\\x1b[2J'"),
        (lambda values: values.update(notice="Fit for diagnosis."), "notice"),
        (lambda values: values["parity"].update(passed=False), "did not pass its parity gate"),
        (lambda values: values["parity"].update(images_with_foreground=0), "never measured on a picture that shows"),
        (lambda values: values["parity"]["gate"].update(hausdorff=0.5), "does not know, hausdorff"),
        (lambda values: values["artifact"].update(file="../s2mnet.pte"), "artifact/file"),
        (lambda values: values["files"].update({"../s2mnet.pte": "0" * 64}), "outside the bundle"),
        (lambda values: values["preprocessing"].update(height=-96), "no whole one"),
        (lambda values: values["preprocessing"].update(width=1e300), "no whole one"),
        (lambda values: values["preprocessing"].update(width=10**9), "more memory than an app can give"),
        (lambda values: values["preprocessing"].update(width=64), "output/shape"),
        (lambda values: values["preprocessing"].pop("height"), "has no 'height'"),
        (lambda values: values["preprocessing"].update(standard_deviation=[0, 0, 0]), "standard_deviation"),
        (lambda values: values["preprocessing"].update(mean=[]), "preprocessing/mean"),
        (lambda values: values["input"].update(layout="NHWC"), "no normalised float32 NCHW tensor"),
        (lambda values: values["output"].update(shape=[1, 2, 96, 96]), "activation"),
        (lambda values: values["postprocessing"].update(threshold="0.5"), "a number was due"),
        (lambda values: values["postprocessing"].update(threshold=7), "threshold"),
        (lambda values: values.update(classes=[]), "not as many as outputs"),
        (lambda values: values["classes"][0].update(colour=[0, 300, 0]), "from 0 to 255"),
        (lambda values: values["network"].update(weights_sha256="0" * 64), "another network"),
    ],
)
def test_contracts_that_do_not_hold_are_refused(change: Callable[[dict], object], words: str, copy: Path, run: Run):
    edit(copy / CONTRACT, change)
    done = run(copy, "--self-test")
    done.assert_refused(2, words)
    assert done.out == ""


def test_the_words_of_the_schema_are_known(copy: Path, run: Run):
    words = contract_schema()["properties"]
    for precision in words["precision"]["enum"]:
        edit(copy / CONTRACT, lambda values, word=precision: values.update(precision=word))
        assert run(copy, "--self-test", "--json").values["precision"] == precision
    others = set(words["target"]["enum"]) - {"executorch"}
    assert len(others) > 4
    for target in others:
        edit(copy / CONTRACT, lambda values, word=target: values.update(target=word))
        run(copy, "--self-test").assert_refused(
            2, f"is of the target {target}, and this program runs executorch bundles"
        )


def test_a_contract_of_another_network_is_refused(copy: Path, run: Run):
    """Everything but the program says 128."""
    edit(copy / CONTRACT, lambda values: values["preprocessing"].update(height=128, width=128))
    edit(copy / CONTRACT, lambda values: values["output"].update(shape=[1, 1, 128, 128]))
    with safe_open(copy / GOLDEN, framework="numpy") as file:
        metadata = file.metadata()
    tensors = {
        "image.0": np.zeros((128, 128, 3), np.uint8),
        "logits.0": np.zeros((1, 128, 128), np.float32),
        "mask.0": np.ones((128, 128), np.uint8),
    }
    save_file(tensors, copy / GOLDEN, metadata)
    hash_again(copy, GOLDEN)
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


def test_the_exit_codes_of_help_and_readme_are_the_same(run: Run):
    helped = re.findall(r"^  (\d+) +(.+)$", run("--help").out.partition("Exit codes:\n")[2], re.MULTILINE)
    assert [code for code, _ in helped] == ["0", "1", "2", "130"]
    assert helped == re.findall(r"^\| (\d+) \| (.+) \|$", README.read_text(encoding="utf-8"), re.MULTILINE)


def test_an_interrupted_program_exits_with_its_code(bundle: Path, native_program: Path):
    command = [native_program, bundle, "--benchmark", "1000000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while not listens_to(signal.SIGINT, process.pid):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        printed, said = process.communicate(timeout=120)
    assert (process.returncode, printed) == (130, "")
    assert said == "interrupted; nothing was left half-written\n"


def listens_to(number: signal.Signals, process: int) -> bool:
    """Whether a process has a handler of its own for a signal (Linux)."""
    caught = re.search(r"^SigCgt:\t(\w+)$", Path(f"/proc/{process}/status").read_text(), re.MULTILINE)
    return caught is not None and bool(int(caught[1], 16) >> (number - 1) & 1)


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
