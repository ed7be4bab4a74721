"""`s2m-edge benchmark`: one run with every kind of output, and requests that it refuses."""

from __future__ import annotations

import json
import signal
import statistics
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import jsonschema
import pytest
from PIL import Image

from command_line import heed_interrupts
from s2m_edge.checkpoint import load_model, read_header
from s2m_edge.cli.main import main
from s2m_edge.targets.benchmark.peers import PEERS
from s2m_edge.targets.benchmark.profile.blocks import BLOCKS, DECODER, DOWN, HEAD, OUTSIDE, RECEPTIVE, SPECTRAL, UNNAMED
from s2m_edge.targets.benchmark.report import SCHEMA_PATH
from s2m_edge.targets.benchmark.samples import SampleChoice
from s2m_edge.targets.evaluation.evaluate import evaluate_samples
from s2m_edge.targets.evaluation.predictors import checkpoint_predictor
from support import assert_one_line_error

ROUNDS = 2
OUTPUTS = ("benchmark.json", "chart.png", "chart.svg", "page.md")


def benchmark(folder: Path, *arguments: object) -> dict:
    """Run the command in this process with --json; its values."""
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as caught:
        main(["benchmark", *map(str, arguments), "--json", str(folder / "benchmark.json")])
    signal.signal(signal.SIGTERM, before)
    assert not caught.value.code
    return json.loads((folder / "benchmark.json").read_text())


@pytest.fixture(scope="module")
def folder(small_checkpoint: Path, tmp_path_factory) -> Path:
    """The folder of a run over PyTorch, OpenVINO and ONNX Runtime with every output."""
    folder = tmp_path_factory.mktemp("benchmark")
    options = ["-t", "openvino,onnx", "--threads", 1, "--rounds", ROUNDS, "--no-compile", "--profile"]
    outputs = ["--chart", folder / OUTPUTS[1], "--chart", folder / OUTPUTS[2], "--markdown", folder / OUTPUTS[3]]
    benchmark(folder, small_checkpoint, *options, "--spectral", "matmul", "--out", folder / "kept", *outputs)
    return folder


@pytest.fixture(scope="module")
def values(folder: Path) -> dict:
    return json.loads((folder / OUTPUTS[0]).read_text())


def test_the_file_follows_its_schema(values):
    jsonschema.validate(values, json.loads(SCHEMA_PATH.read_text()))
    assert values["size"] == 96
    assert values["machine"]["threads"] == 1
    assert {"torch", "openvino", "onnxruntime"} <= values["machine"]["versions"].keys()


def test_every_contender_that_was_asked_for_is_executed_in_every_round(values):
    assert [(entry["title"], entry["status"]) for entry in values["contenders"]] == [
        ("PyTorch eager, NCHW", "executed"),
        ("PyTorch eager, channels_last", "executed"),
        ("openvino float32 matmul", "executed"),
        ("onnx float32 matmul", "executed"),
    ]
    assert {len(entry["latency_milliseconds"]["samples"]) for entry in values["contenders"]} == {ROUNDS}


def test_percentiles_and_ratios_follow_from_the_samples(values):
    medians = {entry["title"]: entry["latency_milliseconds"]["median"] for entry in values["contenders"]}
    assert values["base"] == min((title for title in medians if "eager" in title), key=lambda title: medians[title])
    for entry in values["contenders"]:
        latency = entry["latency_milliseconds"]
        assert latency["median"] == statistics.median(latency["samples"])
        assert min(latency["samples"]) <= latency["percentile_10"] <= latency["median"]
        assert latency["median"] <= latency["percentile_90"] <= max(latency["samples"])
        assert entry["ratio_to_eager"] == pytest.approx(medians[values["base"]] / latency["median"])
        assert entry["images_per_second"] == pytest.approx(1000 / latency["median"])
        share = entry["gflop_per_second"] / values["ceiling"]["gflop_per_second"]
        assert entry["ceiling_share"] == pytest.approx(share)


def test_size_load_time_and_memory_are_those_of_the_artifact(values, folder, small_checkpoint):
    for entry in values["contenders"]:
        assert entry["load_seconds"] > 0
        assert entry["peak_memory_mib"] is None or entry["peak_memory_mib"] >= entry["resident_memory_mib"] > 0
    onnx = values["contenders"][-1]
    bundle = folder / "kept" / "bundles" / "small-onnx-float32"
    assert onnx["artifact_bytes"] == (bundle / "s2mnet.onnx").stat().st_size
    assert values["contenders"][0]["artifact_bytes"] == small_checkpoint.stat().st_size


def test_dice_is_that_of_an_evaluation_on_the_same_pictures(values, small_checkpoint):
    header = read_header(small_checkpoint)
    predictor = checkpoint_predictor(load_model(small_checkpoint), header)
    evaluated = evaluate_samples(predictor, SampleChoice(domain="polyp").find())
    expected = statistics.fmean(image.figure("dice") for image in evaluated.images)
    for entry in values["contenders"]:
        assert entry["dice"]["images"] == 3
        assert entry["dice"]["mean"] == pytest.approx(expected, abs=1e-3)


def test_a_profile_adds_up_and_knows_the_networks_blocks(values):
    for entry in values["contenders"]:
        profile = entry["profile"]
        times = {block["block"]: block["milliseconds"] for block in profile["blocks"]}
        stages = {block["block"]: set(block["stages"]) for block in profile["blocks"]}
        assert sum(times.values()) == pytest.approx(profile["total_milliseconds"], rel=0.01)
        assert set(BLOCKS) - {UNNAMED, OUTSIDE} <= times.keys(), entry["title"]
        for name in (DOWN, RECEPTIVE, SPECTRAL):
            assert stages[name] == set("12345")
        assert stages[DECODER] == set("1234")
        assert stages[HEAD] == set()
        inside = profile["total_milliseconds"] - times[OUTSIDE]
        assert times.get(UNNAMED, 0.0) < 0.05 * inside, entry["title"]
        assert max(times, key=lambda name: times[name] if name != OUTSIDE else 0) == RECEPTIVE


def test_the_charts_and_the_page_show_the_run(values, folder):
    with Image.open(folder / "chart.png") as picture:
        assert picture.format == "PNG"
    texts = "".join(ElementTree.parse(folder / "chart.svg").getroot().itertext())
    page = (folder / "page.md").read_text()
    for entry in values["contenders"]:
        assert entry["title"] in texts
        median = entry["latency_milliseconds"]["median"]
        shown = f"{median:.1f}" if median < 100 else f"{median:.0f}"
        assert f"| {entry['title']} | {shown} " in page
    assert "](chart.png)" in page
    assert page.count("### ") == 0
    assert values["machine"]["line"] in page


def test_given_bundles_are_taken_as_they_are(run, small_checkpoint, onnx_bundle, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = ("--threads", 1, "--rounds", 1, "--no-compile")
    code, out, err = run("benchmark", small_checkpoint, "--bundles", onnx_bundle.parent, *options)
    assert code == 0, err
    assert "onnx float32 matmul" in out
    assert "openvino" not in out
    assert list(tmp_path.iterdir()) == []
    assert "Research use only. Not a medical device." in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("-t", "tflite"), ("tflite", "executorch, coreml, coreai, openvino, onnx")),
        (("-t", "executorch", "--precision", "float16"), ("executorch", "float16")),
        (("--precision", "int3"), ("int3",)),
        (("--spectral", "fft"), ("fft",)),
        (("--threads", "0"), ("--threads", "at least 1")),
        (("--size", "100"), ("100", "multiple of 32")),
        (("--json", "taken"), ("taken is a folder", "--json")),
        (("--json", "file/inside.json"), ("cannot be written", "--json")),
        (("--markdown", "file/inside.md"), ("cannot be written", "--markdown")),
        (("--chart", "chart.jpg"), ("chart.jpg", ".png or .svg")),
        (("--bundles", "taken"), ("taken is no bundle",)),
        (("--data", "taken"), ("taken", "split.csv")),
    ],
)
def test_a_request_that_cannot_be_met_is_one_line_before_any_work(
    run, small_checkpoint, tmp_path, monkeypatch, arguments, words
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").mkdir()
    (tmp_path / "file").write_text("")
    code, out, err = run("benchmark", small_checkpoint, *arguments)
    assert_one_line_error(code, out, err, *words)


def test_a_missing_checkpoint_is_one_line(run, tmp_path):
    code, out, err = run("benchmark", tmp_path / "absent.safetensors")
    assert_one_line_error(code, out, err, "absent.safetensors")


@pytest.mark.skipif(sys.platform != "linux", reason="children are looked up in /proc")
def test_ctrl_c_ends_the_workers_and_exits_with_130(small_checkpoint, onnx_bundle, tmp_path):
    command = [sys.executable, "-m", "s2m_edge.cli.main", "benchmark", str(small_checkpoint), "--no-compile"]
    options = ["--bundles", str(onnx_bundle), "--threads", "1", "--rounds", "100000"]
    process = subprocess.Popen(
        [*command, *options], cwd=tmp_path, stderr=subprocess.PIPE, text=True, preexec_fn=heed_interrupts
    )
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    until = time.monotonic() + 120
    while not (workers := children.read_text().split()) and process.poll() is None and time.monotonic() < until:
        time.sleep(0.1)
    assert workers
    process.send_signal(signal.SIGINT)
    try:
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()  # 100,000 rounds would outlive the test
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)


@pytest.mark.slow
def test_other_networks_are_measured_through_the_same_exporters(small_checkpoint, tmp_path):
    options = ["-t", "openvino,onnx", "--spectral", "matmul", "--threads", 1, "--rounds", 1, "--no-compile", "--peers"]
    values = benchmark(tmp_path, small_checkpoint, *options, "--out", tmp_path / "kept")
    jsonschema.validate(values, json.loads(SCHEMA_PATH.read_text()))
    peers = [entry for entry in values["contenders"] if entry["kind"] == "peer"]
    assert len(peers) == 2 * len(PEERS)
    assert {entry["status"] for entry in peers} == {"executed"}
    assert {entry["dice"] for entry in peers} == {None}
    assert all("random weights" in values["networks"][peer.title]["weights"] for peer in PEERS)
    assert values["networks"]["U-Net 31M"]["parameters"] == pytest.approx(31e6, rel=0.01)


@pytest.mark.slow
def test_executorch_and_the_compiler_take_part(small_checkpoint, tmp_path):
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    options = ["-t", "executorch", "--spectral", "matmul", "--threads", 1, "--rounds", 1, "--profile"]
    values = benchmark(tmp_path, small_checkpoint, *options, "--out", tmp_path / "kept")
    found = {entry["title"]: entry for entry in values["contenders"]}
    profile = found["executorch float32 matmul"]["profile"]
    assert profile["grouping"] == "operator"
    assert sum(block["milliseconds"] for block in profile["blocks"]) == pytest.approx(profile["total_milliseconds"])
    assert any("Convolution" in block["block"] for block in profile["blocks"])
    compiled = found["PyTorch compiled, channels_last"]
    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        assert compiled["status"] == "not run"
        assert "compiler" in compiled["reason"]
        pytest.skip("no C++ compiler: that the row says so was checked")
    assert compiled["status"] == "executed", compiled["reason"]
    assert compiled["dice"]["mean"] == pytest.approx(found["PyTorch eager, NCHW"]["dice"]["mean"], abs=1e-3)
