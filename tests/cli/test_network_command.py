"""The door: a network that is not S2M-Net, from the command line to a mask."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file

from networks import IMAGENET_DEVIATION, IMAGENET_MEAN, plain_u_net
from support import assert_one_line_error, write_sample_folder

FACTORY = "networks:PlainUNet"


@pytest.fixture
def given(elsewhere: Path) -> list[object]:
    """The options of a network of 96 x 64 with ImageNet's mean and deviation, in the working folder."""
    save_file(plain_u_net()[0].state_dict(), elsewhere / "weights.safetensors")
    values = {
        "spec_version": 1,
        "name": "plain",
        "input": {
            "height": 96,
            "width": 64,
            "channels": 3,
            "mean": list(IMAGENET_MEAN),
            "standard_deviation": list(IMAGENET_DEVIATION),
        },
        "classes": ["polyp"],
        "provenance": {"domain": "polyp"},
    }
    (elsewhere / "spec.yaml").write_text(yaml.safe_dump(values))
    return ["--network", FACTORY, "--weights", "weights.safetensors", "--spec", "spec.yaml"]


def test_from_the_command_to_a_mask(run, given, elsewhere, polyp_images):
    code, out, err = run("export", "-t", "openvino,onnx", *given, "--json")
    assert code == 0, err
    bundles = [Path(entry["folder"]) for entry in json.loads(out)["bundles"]]
    assert [path.name for path in bundles] == ["plain-openvino-float32", "plain-onnx-float32"]
    contract = json.loads((bundles[0] / "contract.json").read_text())
    assert contract["network"]["architecture"] == FACTORY
    assert contract["checkpoint"]["file"] == "weights.safetensors"
    assert contract["preprocessing"]["mean"] == list(IMAGENET_MEAN)
    masks = []
    for bundle in bundles:
        code, out, err = run("predict", bundle, polyp_images[0], "--out", bundle.name, "--json")
        assert code == 0, err
        masks.append(Image.open(json.loads(out)["images"][0]["mask"]).tobytes())
    assert masks[0] == masks[1]
    assert run("parity", bundles[0], *given)[0] == 0
    assert run("info", bundles[1])[0] == 0


def test_a_checkpoint_and_its_bundle_have_the_same_score(run, given, elsewhere):
    write_sample_folder(elsewhere / "data", ["test", "test"], "polyp")
    assert run("export", "-t", "onnx", *given)[0] == 0
    scores = []
    for model in (given, ["exports/plain-onnx-float32"]):
        code, out, err = run("evaluate", *model, "--data", "data", "--out", f"report-{len(scores)}", "--json")
        assert code == 0, err
        scores.append(json.loads(out)["metrics"]["dice"]["mean"])
    assert scores[0] == pytest.approx(scores[1], abs=1e-4)
    code, out, err = run("gate", "exports/plain-onnx-float32", *given, "--data", "data", "--json")
    assert code == 0, err
    gate = json.loads(out)
    assert [stage["stage"] for stage in gate["stages"]] == ["float", "float32"]
    assert gate["passed"] is True
    words = ["--network", FACTORY, "--spec", "spec.yaml", "--data", "data"]
    assert_one_line_error(*run("gate", "exports/plain-onnx-float32", *words), "does not have the weights")


def test_int8_after_training_takes_pictures_to_calibrate_with(run, given, elsewhere, polyp_images):
    assert_one_line_error(*run("export", "-t", "onnx", *given, "--precision", "int8"), "--calibration")
    folder, fewer = elsewhere / "pictures", elsewhere / "fewer"
    for place, count in ((folder, 2), (fewer, 1)):
        place.mkdir()
        for path in polyp_images[:count]:
            (place / path.name).write_bytes(path.read_bytes())
    code, _, err = run("export", "-t", "onnx", *given, "--precision", "int8", "--calibration", folder)
    assert code == 0, err
    assert_one_line_error(*run("export", "-t", "onnx", *given, "--calibration", folder), "quantized --precision")
    bundle = "exports/plain-onnx-int8"
    assert_one_line_error(*run("parity", bundle, *given), "quantized network", "--calibration")
    code, out, err = run("parity", bundle, *given, "--calibration", folder, "--json")
    assert code == 0, err
    assert json.loads(out)["passed"] is True
    assert_one_line_error(*run("parity", bundle, *given, "--calibration", fewer), "SHA-256 differs", "same weights")
    assert_one_line_error(*run("parity", bundle, "--calibration", folder), "--calibration was not expected")


def test_a_program_is_exported_in_both_arithmetics_without_warnings_of_its_copies(
    run, given, elsewhere, polyp_images, recwarn
):
    network = plain_u_net()[0]
    torch.export.save(torch.export.export(network, (torch.zeros(1, 3, 96, 64),)), elsewhere / "plain.pt2")
    recwarn.clear()
    words = ["--network", "plain.pt2", "--spec", "spec.yaml", "-t", "onnx"]
    for more in ([], ["--precision", "int8", "--calibration", polyp_images[0].parent]):
        code, _, err = run("export", *words, *more)
        assert code == 0, err
    assert not [warning for warning in recwarn if "LeafSpec" in str(warning.message)]


def test_a_specification_is_written_checked_and_never_replaced(run, elsewhere):
    assert run("spec", "new", "mine.yaml")[0] == 0
    code, out, _ = run("spec", "check", "mine.yaml")
    assert code == 0
    assert "my-network: RGB, 352 x 352, sigmoid: lesion" in out
    assert json.loads(run("spec", "check", "mine.yaml", "--json")[1])["height"] == 352
    assert_one_line_error(*run("spec", "new", "mine.yaml"), "exists")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--network", FACTORY], "--spec"),
        (["--weights", "weights.safetensors"], "--network"),
        (["--network", "networks:absent", "--spec", "spec.yaml"], "has no absent"),
        (["--network", FACTORY, "--spec", "absent.yaml"], "no specification"),
        (["--network", FACTORY, "--spec", "spec.yaml", "--size", "96"], "--size"),
        (["--network", FACTORY, "--spec", "spec.yaml", "--checkpoint", "polyp"], "one of them"),
        (["--network", FACTORY, "--spec", "spec.yaml", "--spectral", "matmul"], "no spectral filter"),
        (["--network", "net.pt2", "--spec", "spec.yaml"], "no readable .pt2"),
        (["--network", FACTORY, "--spec", "spec.yaml", "--weights", "absent.safetensors"], "no weights"),
    ],
)
def test_what_cannot_be_opened_is_said_in_one_line_and_nothing_stays(run, given, elsewhere, words, expected):
    (elsewhere / "net.pt2").write_bytes(b"no archive")
    assert_one_line_error(*run("export", "-t", "onnx", *words), expected)
    assert not (elsewhere / "exports").exists()


def test_parity_of_another_network_is_refused(run, given, elsewhere):
    assert run("export", "-t", "onnx", *given)[0] == 0
    code, out, err = run("parity", "exports/plain-onnx-float32", "--network", FACTORY, "--spec", "spec.yaml")
    assert_one_line_error(code, out, err, "does not have the weights")
    assert_one_line_error(*run("parity", "exports/plain-onnx-float32"), "is no checkpoint", "--network")
