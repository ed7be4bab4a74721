"""A specification says everything, is checked where it is read, and survives its file."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import jsonschema
import pytest
import torch
import yaml
from torch import nn

from s2m_edge.cli.spec import TEMPLATE
from s2m_edge.deploy.spec import make_spec, read_spec, spec_from_dict, spec_schema, weights_hash
from s2m_edge.errors import ConfigurationError
from s2m_edge.imaging.intensity import Intensity

SOUND = {
    "spec_version": 1,
    "name": "polyp-unet",
    "input": {
        "height": 320,
        "width": 250,
        "channels": 3,
        "mean": [0.485, 0.456, 0.406],
        "standard_deviation": [0.229, 0.224, 0.225],
    },
    "classes": ["polyp", {"name": "tool", "colour": [1, 2, 3]}],
}


def changed(path: tuple[str, ...], value: object) -> dict:
    values = copy.deepcopy(SOUND)
    place = values
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return values


def test_the_schema_is_a_valid_schema():
    jsonschema.Draft202012Validator.check_schema(spec_schema())


def test_a_file_says_what_goes_in_and_what_comes_out(tmp_path: Path):
    path = tmp_path / "spec.yaml"
    path.write_text(yaml.safe_dump(SOUND))
    spec = read_spec(path)
    assert spec.preprocessing.image_shape == (3, 320, 250)
    assert (spec.activation, spec.outputs, spec.output_shape) == ("softmax", 3, (3, 320, 250))
    assert spec.mean == (0.485, 0.456, 0.406)
    assert [entry.name for entry in spec.classes] == ["polyp", "tool"]
    assert spec.classes[1].colour == (1, 2, 3)
    assert spec.scale == 1 / 255
    path.with_suffix(".json").write_text(json.dumps(SOUND))
    assert read_spec(path.with_suffix(".json")) == spec


def test_a_file_says_how_deep_pictures_become_levels():
    assert spec_from_dict(SOUND, "spec.yaml").preprocessing.intensity == Intensity()
    window = {"rule": "window", "low": -200, "high": 300}
    spec = spec_from_dict(changed(("input", "intensity"), window), "spec.yaml")
    assert spec.preprocessing.intensity == Intensity("window", -200, 300)


def test_the_template_is_a_sound_specification(tmp_path: Path):
    path = tmp_path / "new.yaml"
    path.write_text(TEMPLATE.format(name=path.name))
    assert read_spec(path) == spec_from_dict(yaml.safe_load(TEMPLATE.format(name="x")), "template")


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("spec_version",), 2, "newer than this s2m-edge reads.*Update"),
        (("input", "height"), 0, "input/height"),
        (("input", "width"), 100000, "input/width"),
        (("input", "channels"), 4, "input/channels"),
        (("input", "mean"), [0.5, 0.5], "mean.*one for each channel"),
        (("input", "mean"), [float("nan"), 0.0, 0.0], "finite"),
        (("input", "standard_deviation"), [0.0, 1.0, 1.0], "standard_deviation"),
        (("input", "fit"), "letterbox", "input/fit"),
        (("input", "intensity"), {"rule": "display", "low": 0, "high": 1}, "input/intensity/rule"),
        (("input", "intensity"), {"rule": "window", "low": 5}, "input/intensity"),
        (("input", "intensity"), {"rule": "window", "low": 300, "high": -200}, "low 300.0 and high -200.0"),
        (("input", "intensity"), {"rule": "percentiles", "low": 0, "high": 101}, "percentiles 0.0 and 101.0"),
        (("name",), "../elsewhere", "name"),
        (("classes",), [], "classes"),
        (("classes",), ["x"] * 256, "classes"),
        (("activation",), "sigmoid", "Sigmoid is for one class"),
        (("threshold",), 2, "threshold"),
        (("unknown",), 1, "unknown"),
    ],
)
def test_a_wrong_value_is_named_with_the_remedy(path, value, words):
    with pytest.raises(ConfigurationError, match=words):
        spec_from_dict(changed(path, value), "spec.yaml")


@pytest.mark.parametrize(
    ("content", "words"), [(b"\xff\xfe\x00", "UTF-8"), (b"a: [", "no YAML"), (b"- 1", "no network specification")]
)
def test_a_file_that_is_none_is_refused_in_one_line(tmp_path: Path, content: bytes, words: str):
    path = tmp_path / "spec.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=words) as caught:
        read_spec(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigurationError, match="there is no specification"):
        read_spec(tmp_path / "absent.yaml")


def test_the_hash_is_of_the_weights_alone():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    before = weights_hash(network)
    other = copy.deepcopy(network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    assert isinstance(other[1], nn.BatchNorm2d)
    assert other[1].num_batches_tracked is not None
    other[1].num_batches_tracked += 5
    assert weights_hash(other) == before, "neither the memory format nor a counter changes an answer"
    with torch.no_grad():
        network[0].weight[0, 0, 0, 0] += 1e-3  # type: ignore[index]
    assert weights_hash(network) != before


def test_binary_networks_with_a_background_channel_are_softmax_networks():
    spec = make_spec("two", height=64, width=64, classes=("lesion",), activation="softmax")
    assert spec.outputs == 2
