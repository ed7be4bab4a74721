"""The accuracy gates of int8 hold what they promise, and name the first stage that breaks."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest

from s2m_edge.checkpoint import load_model, network_spec, read_header
from s2m_edge.deploy.bundle import open_bundle
from s2m_edge.errors import CheckpointError, ParityError
from s2m_edge.targets.measure.evaluation.evaluate import split_samples
from s2m_edge.targets.measure.parity.difference import StageResult, difference
from s2m_edge.targets.measure.parity.gates import ACCURACY_GATES
from s2m_edge.targets.measure.parity.stages import (
    STAGES,
    StagesReport,
    measure_stages,
    require_origin,
    stage_networks,
)
from s2m_edge.targets.registry import find_target
from support import write_sample_folder

DICE, HD95 = (0.9, 0.8, 0.7), (10.0, 20.0, math.nan)


def result(stage: str, name: str = "", *, moved: float = 0.0, worst: float = 0.0, hd95: float = 0.0) -> StageResult:
    """A stage whose every image moved by `moved`, the last one by `worst` too."""
    dice = (*(value + moved for value in DICE[:2]), DICE[2] + moved + worst)
    distances = tuple(value + hd95 for value in HD95)
    return StageResult(stage, name or stage, stage, "executed", "cpu", ("a", "b", "c"), dice, distances, 3)


def report(**changes: StageResult) -> StagesReport:
    names = {"fake": "fake-quantized", "runtime": "runtime"}
    given = {names.get(key, key): value for key, value in changes.items()}
    return StagesReport(tuple(given.get(stage, result(stage)) for stage in STAGES), {})


def test_the_thresholds_are_the_promised_ones():
    against_float = ACCURACY_GATES["float", "fake-quantized"]
    assert ACCURACY_GATES["float", "runtime"] == against_float
    assert dataclasses.astuple(against_float) == (0.005, 0.05, 1.0, False)
    assert dataclasses.astuple(ACCURACY_GATES["fake-quantized", "runtime"]) == (0.002, 0.02, None, True)


def test_equal_stages_pass_and_a_gain_over_float_is_no_breach():
    report().require_passed()
    better = result("fake-quantized", moved=0.03)
    assert (
        report(fake=better, converted=result("converted", moved=0.03), runtime=result("runtime", moved=0.03)).breaches
        == []
    )


@pytest.mark.parametrize(
    ("changes", "first"),
    [
        ({"decomposed": {"moved": 0.001}}, "decomposed against float"),
        ({"fake": {"moved": -0.006}}, "fake-quantized against float: mean Dice"),
        ({"fake": {"worst": -0.06}}, "fake-quantized against float: mean Dice"),
        ({"fake": {"worst": -0.08, "moved": 0.023}}, "fake-quantized against float: c: Dice"),
        ({"fake": {"hd95": 1.5}}, "fake-quantized against float: mean HD95"),
        ({"converted": {"moved": 0.003}}, "converted against fake-quantized"),
        ({"runtime": {"moved": -0.003}}, "runtime against fake-quantized"),
        ({"runtime": {"moved": 0.003}}, "runtime against fake-quantized"),
        ({"runtime": {"moved": math.nan}}, "runtime against fake-quantized"),
        ({"runtime": {"worst": -0.03, "moved": 0.01}}, "runtime against fake-quantized: c: Dice -0.02"),
        ({"runtime": {"worst": 0.03, "moved": -0.01}}, r"runtime against fake-quantized: c: Dice \+0.02"),
        ({"runtime": {"hd95": math.nan}}, "runtime against float: HD95 is defined on no image"),
        ({"fake": {"hd95": math.inf}}, "fake-quantized against float: mean HD95"),
    ],
)
def test_a_loss_is_blamed_on_the_stage_where_it_happens(changes, first):
    made = {key: result("fake-quantized" if key == "fake" else key, **values) for key, values in changes.items()}
    found = report(**made)
    with pytest.raises(ParityError, match=first) as caught:
        found.require_passed()
    assert caught.value.exit_code == 1
    values = found.to_dict()
    assert values["passed"] is False
    assert values["first_stage_that_breaks"].startswith(first.split()[0])
    json.dumps(values)


def test_a_difference_is_over_the_same_images_and_leaves_undefined_distances_out():
    found = difference(result("fake-quantized", worst=-0.3, hd95=0.5), result("float"))
    assert found.mean_dice == pytest.approx(-0.1)
    assert (found.worst_dice, found.worst_image) == (pytest.approx(-0.3), "c")
    assert (found.mean_hd95, found.images_with_hd95) == (pytest.approx(0.5), 2)
    other = dataclasses.replace(result("float"), images=("a", "b", "d"))
    with pytest.raises(ValueError, match="same images"):
        difference(result("fake-quantized"), other)


def test_a_distance_that_is_defined_nowhere_is_no_zero():
    found = difference(result("fake-quantized", hd95=math.nan), result("float"))
    assert math.isnan(found.mean_hd95)
    assert found.images_with_hd95 == 0


def without_images(stage: str) -> StageResult:
    return dataclasses.replace(result(stage), images=(), dice=(), hd95=(), images_with_object=0)


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ((without_images("float"), without_images("decomposed")), "none of 0 images has anything in its label"),
        (
            tuple(dataclasses.replace(result(stage), images_with_object=0) for stage in ("float", "decomposed")),
            "none of 3 images has anything in its label",
        ),
        ((result("float"),), "nothing was compared"),
        ((), "nothing was compared"),
    ],
)
def test_a_gate_on_nothing_is_no_pass(stages, words):
    found = StagesReport(stages, {})
    with pytest.raises(ParityError, match=words):
        found.require_passed()
    assert found.to_dict()["passed"] is False


def test_few_images_are_said_to_be_few():
    assert "3 images say little: of fewer than 10" in report().remark
    many = [
        dataclasses.replace(result(stage), images=tuple("abcdefghij"), dice=(0.9,) * 10, hd95=(1.0,) * 10)
        for stage in STAGES
    ]
    assert StagesReport(tuple(many), {}).remark == ""


def test_every_stage_is_measured_on_real_pictures_and_the_exact_ones_agree(
    exported, small_checkpoints, small_models, tmp_path
):
    samples = split_samples(write_sample_folder(tmp_path / "data", ["test", "test"], "polyp"), "test")
    bundle = open_bundle(exported(find_target("onnx"), "int8", "matmul").folder)
    header = read_header(small_checkpoints[True])
    require_origin(header, read_header(small_checkpoints[False]))
    spec = network_spec(header)
    stages = measure_stages(stage_networks(small_models[True], small_models[False], spec), spec, [bundle], samples)
    assert [entry.stage for entry in stages] == list(STAGES)
    assert all(len(entry.dice) == 2 for entry in stages)
    moved = {(entry.reference, entry.stage): entry for entry in StagesReport(tuple(stages), {}).differences}
    assert abs(moved["float", "decomposed"].mean_dice) < 1e-3
    assert abs(moved["fake-quantized", "converted"].mean_dice) < 1e-3
    assert abs(moved["fake-quantized", "runtime"].mean_dice) < 0.01


def test_artifacts_of_the_float_network_are_held_to_it_by_the_gate_of_their_precision(
    exported, small_checkpoints, small_models, tmp_path
):
    samples = split_samples(write_sample_folder(tmp_path / "data", ["test", "test"], "polyp"), "test")
    precisions = ("float32", "float16")
    bundles = [open_bundle(exported(find_target("onnx"), name, "matmul").folder) for name in precisions]
    spec = network_spec(read_header(small_checkpoints[False]))
    stages = measure_stages({"float": small_models[False]}, spec, bundles, samples)
    assert [entry.stage for entry in stages] == ["float", *precisions]
    report = StagesReport(tuple(stages), {})
    assert [(entry.reference, entry.stage) for entry in report.differences] == [("float", name) for name in precisions]
    report.require_passed()
    lost = tuple(value - 0.0011 for value in stages[2].dice)
    worse = StagesReport((*stages[:2], dataclasses.replace(stages[2], dice=lost)), {})
    with pytest.raises(ParityError, match="float16"):
        worse.require_passed()


def test_the_command_takes_a_float_checkpoint_with_its_bundles_and_refuses_those_of_another(
    exported, small_checkpoints, tmp_path, capsys
):
    from s2m_edge.cli.main import main

    data = write_sample_folder(tmp_path / "data", ["test", "test"], "polyp")
    half = exported(find_target("onnx"), "float16", "matmul").folder
    with pytest.raises(SystemExit) as caught:
        main(["gate", str(small_checkpoints[False]), str(half), "--data", str(data), "--json"])
    assert not caught.value.code, capsys.readouterr().err
    values = json.loads(capsys.readouterr().out)
    assert [entry["stage"] for entry in values["stages"]] == ["float", "float16"]
    with pytest.raises(SystemExit) as caught:
        main(["gate", "polyp", str(half), "--data", str(data)])
    assert caught.value.code
    assert "was not exported from s2mnet-polyp-352" in capsys.readouterr().err


def test_the_command_has_to_have_something_to_compare(small_checkpoint, tmp_path, capsys):
    from s2m_edge.cli.main import main

    data = write_sample_folder(tmp_path / "data", ["test"], "polyp")
    with pytest.raises(SystemExit) as caught:
        main(["gate", str(small_checkpoint), "--data", str(data)])
    assert caught.value.code == 2
    assert "nothing to compare the float network with" in capsys.readouterr().err


def test_checkpoints_that_do_not_belong_together_are_refused(small_checkpoints):
    quantized, other = read_header(small_checkpoints[True]), read_header("polyp")
    with pytest.raises(CheckpointError, match="was not made from"):
        require_origin(quantized, other)
    with pytest.raises(CheckpointError, match="float checkpoint"):
        require_origin(other, quantized)
    assert load_model(small_checkpoints[True]).config.size == 96


@pytest.mark.slow
def test_the_bundled_int8_polyp_network_keeps_its_gates_on_real_pictures_at_full_size(polyp_images, tmp_path, capsys):
    from s2m_edge.cli.main import main
    from s2m_edge.targets.export import export_bundle

    target = find_target("openvino")
    made = export_bundle(
        target,
        load_model("polyp-int8"),
        network_spec(read_header("polyp-int8")),
        precision="int8",
        spectral="matmul",
        images=polyp_images[:6],
        out=tmp_path / "bundle",
    )
    assert made.artifact_bytes < 6_500_000
    data = write_sample_folder(tmp_path / "data", ["test", "test", "test"], "polyp")
    out = tmp_path / "gate.json"
    with pytest.raises(SystemExit) as caught:
        main(["gate", "polyp-int8", str(made.folder), "--data", str(data), "--out", str(out)])
    assert not caught.value.code, capsys.readouterr().err
    values = json.loads(out.read_text())
    assert values["passed"] is True
    assert [entry["stage"] for entry in values["stages"]] == list(STAGES)
    assert values["stages"][0]["dice"]["mean"] > 0.5
