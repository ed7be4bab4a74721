"""A check's configuration: what it says is what is wanted, and what is wrong with it is said in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from pages import ROOT, blocks
from s2m_edge.errors import CapabilityError, ConfigurationError, S2MEdgeError
from s2m_edge.targets.check.config import read_config

WHOLE = """
check_version: 1
network: nets/mine.py:unet
weights: unet.safetensors
spec: spec.yaml
targets:
  onnx: [float32, float16]
  openvino: [float32]
images: pictures
limit: 5
data: labelled
split: val
tolerance: 0.5
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "s2m-edge-check.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_everything_that_a_file_says(tmp_path: Path):
    config = read_config(written(tmp_path, WHOLE))
    assert [(entry.target.name, entry.precision, entry.line) for entry in config.wanted] == [
        ("onnx", "float32", 7),
        ("onnx", "float16", 7),
        ("openvino", "float32", 8),
    ]
    assert config.network == f"{tmp_path}/nets/mine.py:unet"
    assert (config.weights, config.spec) == (tmp_path / "unet.safetensors", tmp_path / "spec.yaml")
    assert (config.images, config.data, config.split) == (tmp_path / "pictures", tmp_path / "labelled", "val")
    assert (config.limit, config.tolerance, config.checkpoint) == (5, 0.5, None)


def test_a_checkpoint_is_a_file_beside_the_configuration_or_a_bundled_one(tmp_path: Path):
    def checkpoint(name: str) -> Path | None:
        return read_config(
            written(tmp_path, f"{{check_version: 1, checkpoint: {name}, targets: {{onnx: [int8]}}}}")
        ).checkpoint

    assert checkpoint("polyp") == Path("polyp")
    assert checkpoint("my.safetensors") == tmp_path / "my.safetensors"
    (tmp_path / "polyp").touch()
    assert checkpoint("polyp") == tmp_path / "polyp"


def test_a_module_is_pythons_matter_and_a_program_a_file(tmp_path: Path):
    def network(name: str) -> str | None:
        text = f"{{check_version: 1, network: '{name}', spec: a.yaml, targets: {{onnx: [float32]}}}}"
        return read_config(written(tmp_path, text)).network

    assert network("package.module:factory") == "package.module:factory"
    assert network("net.pt2") == str(tmp_path / "net.pt2")


def test_only_some_of_its_targets(tmp_path: Path):
    config = read_config(written(tmp_path, WHOLE))
    assert [entry.target.name for entry in config.only(["openvino"])] == ["openvino"]
    assert len(config.only([])) == 3
    with pytest.raises(ConfigurationError, match="has no target 'coreml'"):
        config.only(["coreml"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("check_version: 1\ntargets: {onnx: [float32]}", "a checkpoint or a network"),
        ("check_version: 1\ncheckpoint: a\nnetwork: b\ntargets: {onnx: [float32]}", "and not both"),
        ("check_version: 1\nnetwork: b:c\ntargets: {onnx: [float32]}", "its top level"),
        ("check_version: 1\ncheckpoint: a\nspec: b\ntargets: {onnx: [float32]}", "its top level"),
        ("check_version: 2\ncheckpoint: a\ntargets: {onnx: [float32]}", "newer than this"),
        ("check_version: 1\ncheckpoint: a", "targets"),
        ("check_version: 1\ncheckpoint: a\ntargets: {}", "wrong at targets"),
        ("check_version: 1\ncheckpoint: a\ntargets: {onnx: []}", "wrong at targets/onnx"),
        ("check_version: 1\ncheckpoint: a\ntargets: {onnx: [float32, float32]}", "wrong at targets/onnx"),
        ("check_version: 1\ncheckpoint: a\ntargets: {onnx: [float32]}\nlimt: 3", "limt"),
        ("check_version: 1\ncheckpoint: a\ntargets: {onnx: [float32]}\ntolerance: .nan", "tolerance"),
        ("check_version: 1\ncheckpoint: a\ntargets: {onnx: [float32]}\ntolerance: .inf", "tolerance"),
        ("check_version: 1\nnetwork: b:c\nspec: d\ntargets: {onnx: [int8]}", "names no calibration"),
        ("- a", "no configuration"),
        ("a: [", "no YAML"),
        ("a: &a [*a]\nb: " + "[" * 900, "no YAML"),
        ("!!python/object/apply:os.system [id]", "no YAML"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(text: str, words: str, tmp_path: Path):
    with pytest.raises(ConfigurationError) as caught:
        read_config(written(tmp_path, text))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("target", "precision"), [("onnxx", "float32"), ("onnx", "float31"), ("onnx", "bfloat16")])
def test_a_target_or_precision_that_there_is_not(target: str, precision: str, tmp_path: Path):
    text = f"{{check_version: 1, checkpoint: a, targets: {{{target}: [{precision}]}}}}"
    with pytest.raises(CapabilityError):
        read_config(written(tmp_path, text))


def test_a_file_that_is_not_there(tmp_path: Path):
    with pytest.raises(S2MEdgeError, match="there is no configuration"):
        read_config(tmp_path / "none.yaml")


def test_the_file_that_the_page_shows_is_one(tmp_path: Path):
    shown, *_ = blocks(ROOT / "docs" / "ci.md", "yaml")
    config = read_config(written(tmp_path, shown))
    assert [entry.precision for entry in config.wanted] == ["float32", "float16"]
