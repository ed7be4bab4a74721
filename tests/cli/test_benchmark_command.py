"""`s2m-edge benchmark`: one run with every kind of output, and requests that it refuses."""

from __future__ import annotations

import json
import re
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
from networks import plain_u_net
from s2m_edge import console
from s2m_edge.checkpoint import load_model, network_spec, read_header, save_checkpoint
from s2m_edge.cli.main import main
from s2m_edge.processor import features_text, processor_features
from s2m_edge.targets.export import export_bundle
from s2m_edge.targets.measure.benchmark.instruction_sets import find_instruction_set
from s2m_edge.targets.measure.benchmark.older_processor import older_environment
from s2m_edge.targets.measure.benchmark.profile.blocks import (
    BLOCKS,
    DECODER,
    DOWN,
    HEAD,
    OUTSIDE,
    RECEPTIVE,
    SPECTRAL,
    UNNAMED,
)
from s2m_edge.targets.measure.benchmark.report import SCHEMA_PATH
from s2m_edge.targets.measure.benchmark.samples import SampleChoice
from s2m_edge.targets.measure.evaluation.evaluate import evaluate_samples
from s2m_edge.targets.measure.evaluation.predictors import network_predictor
from s2m_edge.targets.registry import find_target
from support import ENCODER_STAGES, SPECTRAL_STAGES, assert_one_line_error, decided, lively_network

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
    predictor = network_predictor(load_model(small_checkpoint), network_spec(header))
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
        for name in (DOWN, RECEPTIVE):
            assert stages[name] == {str(stage) for stage in range(1, ENCODER_STAGES + 1)}
        assert stages[SPECTRAL] == set(map(str, SPECTRAL_STAGES))
        assert stages[DECODER] == {str(stage) for stage in range(1, ENCODER_STAGES)}
        assert stages[HEAD] == set()
        inside = profile["total_milliseconds"] - times[OUTSIDE]
        assert times.get(UNNAMED, 0.0) < 0.05 * inside, entry["title"]
        # Most of the arithmetic; on a busy machine another block may take longer once.
        assert times[RECEPTIVE] > 0.15 * inside, entry["title"]


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


def test_the_header_says_what_the_processor_can_and_how_evenly_it_ran(values, folder):
    features = values["machine"]["features"]
    assert features is None or set(features) == processor_features()
    assert values["ceiling"]["noise"] >= 0
    page = (folder / "page.md").read_text()
    assert f"instruction sets: {features_text()}" in page
    assert "the same matrix product in every round spread by" in page.split("| contender")[0]


def test_a_later_run_takes_the_bundles_compares_itself_and_keeps_standard_output_clean(
    run, small_checkpoint, folder, values, tmp_path, monkeypatch
):
    """The quick form, too, with streams: one run for all of them."""
    monkeypatch.setattr(console, "PLAIN_SECONDS", 0.0)
    earlier = tmp_path / "earlier.json"
    earlier.write_text(json.dumps({**values, "machine": {**values["machine"], "processor": "another", "threads": 7}}))
    kept, after = folder / "kept", tmp_path / "after.json"
    options = ["-t", "openvino,onnx", "--threads", 1, "--quick", "--rounds", 2, "--throughput", "--compare", earlier]
    page = tmp_path / "page.md"
    code, out, err = run("benchmark", small_checkpoint, *options, "--out", kept, "--json", after, "--markdown", page)
    assert code == 0, err
    assert f"taken from {kept / 'bundles'}: openvino float32 matmul, onnx float32 matmul" in " ".join(err.split())
    assert re.search(r"so far, about \d+:\d\d left", err)
    assert "left" not in out.replace("left out", "")
    assert "exported" not in out.split("Research use only")[0].replace("as the artifacts are exported", "")
    now = json.loads(after.read_text())
    jsonschema.validate(now, json.loads(SCHEMA_PATH.read_text()))
    assert now["quick"] == [
        "torch.compile (--compile)",
        "other precisions (--precision all)",
        "other lowerings (--spectral all)",
    ]
    for text in (out, page.read_text()):
        assert "he quick form, without torch.compile" in text
        assert "not the same as then: threads: 1 now, 7 then" in text
        assert f"processor: {values['machine']['processor']} now, another then" in text
        assert "images/s (streams)" in text
        assert "x earlier" in text
    for entry, before in zip(now["contenders"], values["contenders"], strict=True):
        then, median = before["latency_milliseconds"]["median"], entry["latency_milliseconds"]["median"]
        assert entry["ratio_to_earlier"] == pytest.approx(then / median)
        assert entry["throughput"]["images_per_second"] > 0
        assert entry["throughput"]["streams"] >= 1
    assert now["contenders"][2]["throughput"]["how"] == "OpenVINO's own streams"
    assert now["contenders"][3]["throughput"]["how"] == "processes"


@pytest.mark.skipif("avx2" not in processor_features(), reason="limits are of x86")
def test_limited_instruction_sets_are_obeyed_or_the_contender_is_left_out(small_checkpoint, folder, tmp_path):
    options = ["-t", "openvino,onnx", "--threads", 1, "--rounds", 1, "--no-compile", "--cpu-isa", "avx2"]
    values = benchmark(tmp_path, small_checkpoint, *options, "--out", folder / "kept")
    jsonschema.validate(values, json.loads(SCHEMA_PATH.read_text()))
    found = {entry["title"]: entry for entry in values["contenders"]}
    assert values["settings"]["cpu_isa"] == "avx2"
    assert found["PyTorch eager, NCHW"]["status"] == "executed"
    assert found["openvino float32 matmul"]["status"] == "executed", found["openvino float32 matmul"]["reason"]
    asks = found["onnx float32 matmul"]
    if older_environment(find_instruction_set("avx2")):
        assert asks["status"] == "executed", asks["reason"]
    else:
        assert asks["status"] == "not run"
        assert "the runtime asks the processor" in asks["reason"]


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
        (("--cpu-isa", "mmx"), ("mmx", "sse42, avx2, avx512")),
        (("--compare", "absent.json"), ("absent.json",)),
        (("--compare", "file"), ("file", "--compare")),
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


def test_bundles_of_other_networks_take_part_as_what_they_are(small_checkpoint, polyp_images, tmp_path):
    target, (network, spec) = find_target("onnx"), plain_u_net(64, 96)
    export_bundle(target, network, spec, images=polyp_images[:2], out=tmp_path / "other")
    options = ["--threads", 1, "--rounds", 1, "--no-compile", "--bundles", tmp_path / "other"]
    values = benchmark(tmp_path, small_checkpoint, *options)
    jsonschema.validate(values, json.loads(SCHEMA_PATH.read_text()))
    (row,) = [entry for entry in values["contenders"] if entry["kind"] == "bundle"]
    assert (row["network"], row["status"], row["dice"]) == (spec.name, "executed", None)
    facts = values["networks"][spec.name]
    assert (facts["height"], facts["width"]) == (64, 96)
    assert facts["parameters"] == sum(value.numel() for value in network.parameters())


@pytest.mark.slow
def test_executorch_and_the_compiler_take_part(tmp_path):
    """On a network of two stages: the compiler makes C++ of every operator, which takes minutes for a large one."""
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    layout = {"encoder_channels": (8, 8), "mixer_stages": (1,), "spatial_stages": ()}
    checkpoint = tmp_path / "least.safetensors"
    save_checkpoint(checkpoint, decided(lively_network(**layout)), {"domain": "polyp", "class_names": ["polyp"]})
    options = ["-t", "executorch", "--spectral", "matmul", "--threads", 1, "--rounds", 1, "--profile"]
    values = benchmark(tmp_path, checkpoint, *options, "--out", tmp_path / "kept")
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
