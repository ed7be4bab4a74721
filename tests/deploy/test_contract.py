"""The contract is complete, checked when read, and refuses what a newer version wrote."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path

import jsonschema
import pytest

from s2m_edge.apps.vectors.example import Example, write_example
from s2m_edge.checkpoint import load_network, network_spec, read_header, record_provenance
from s2m_edge.deploy.bundle import draft_contract, open_bundle, preprocessing_entry, seal_contract
from s2m_edge.deploy.contract import LARGEST_CONTRACT, contract_schema, parse_json, read_contract, validate_contract
from s2m_edge.deploy.interface import TensorInterface
from s2m_edge.deploy.precision import PRECISIONS
from s2m_edge.deploy.spec import weights_hash
from s2m_edge.errors import ContractError
from s2m_edge.imaging.classes import default_classes
from s2m_edge.imaging.intensity import Intensity
from s2m_edge.targets.registry import TARGETS


@pytest.fixture
def contract(small_checkpoint: Path, small_model, tmp_path: Path):
    artifact = tmp_path / "s2mnet.onnx"
    artifact.write_bytes(b"weights")
    spec = network_spec(read_header(small_checkpoint)).of(small_model)
    draft = draft_contract("onnx", TensorInterface("float32", "NCHW"), spec, "float32", "matmul", artifact)
    for name in ("golden.safetensors", "parity.json"):
        (tmp_path / name).write_bytes(b"{}")
    return seal_contract(draft, tmp_path, PARITY)


PARITY = {
    "passed": True,
    "verdict": "executed",
    "images": 3,
    "images_with_foreground": 2,
    "gate": {"mask_agreement": 0.99},
    "figures": {"max_probability_error": 1e-6},
}


def test_the_schema_is_a_valid_schema():
    jsonschema.Draft202012Validator.check_schema(contract_schema())


def test_a_contract_survives_json_and_says_what_an_app_must_know(contract, tmp_path: Path, small_checkpoint: Path):
    (tmp_path / "contract.json").write_text(json.dumps(contract.values))
    again = read_contract(tmp_path)
    assert again == contract
    assert again.preprocessing == network_spec(read_header(small_checkpoint)).preprocessing
    assert again.classes[0].name == "polyp"
    assert again.threshold == 0.5
    assert "Not a medical device" in again.values["notice"]
    assert again.values["artifact"]["bytes"] == 7


def test_the_rule_for_deep_pictures_travels_from_the_checkpoint_into_the_contract(
    small_checkpoint: Path, contract, tmp_path: Path
):
    assert contract.preprocessing.intensity == Intensity()
    path = Path(shutil.copy(small_checkpoint, tmp_path / "deep.safetensors"))
    window = Intensity("window", -200, 300, "volume")
    record_provenance(path, {"intensity": window.to_dict()})
    spec = network_spec(read_header(path))
    assert spec.preprocessing.intensity == window
    values = {**contract.values, "preprocessing": preprocessing_entry(spec.preprocessing)}
    assert validate_contract(values, "contract.json").preprocessing.intensity == window


def test_a_contract_of_the_first_version_is_refused_with_the_remedy(contract):
    with pytest.raises(ContractError, match=r"no longer reads.*Export the bundle again"):
        validate_contract({**contract.values, "schema_version": 1}, "contract.json")


def test_a_contract_from_a_newer_version_is_refused(contract):
    newer = {**contract.values, "schema_version": 3}
    with pytest.raises(ContractError, match=r"newer .*Update s2m-edge"):
        validate_contract(newer, "contract.json")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("preprocessing", "height"), 0),
        (("preprocessing", "fit"), "letterbox"),
        (("artifact", "file"), "../../etc/passwd"),
        (("artifact", "file"), "other.onnx"),
        (("network", "weights_sha256"), "0" * 64 + "\n"),
        (("network", "name"), "polyp\n"),
        (("classes", 0, "name"), "polyp\n"),
        (("preprocessing", "mean"), [1e39, 0.0, 0.0]),
        (("preprocessing", "window"), {}),
        (("postprocessing", "threshold"), 2),
        (("notice",), "Cleared for clinical use"),
        (("surprise",), 1),
    ],
)
def test_a_damaged_contract_is_refused_and_says_where(contract, path, value):
    values = copy.deepcopy(contract.values)
    entry = values
    for key in path[:-1]:
        entry = entry[key]
    entry[path[-1]] = value
    with pytest.raises(ContractError, match="damaged at"):
        validate_contract(values, "contract.json")


def test_its_words_are_those_of_the_registry_and_of_the_table_of_precisions():
    words = contract_schema()["properties"]
    assert words["target"]["enum"] == [target.name for target in TARGETS]
    assert words["precision"]["enum"] == list(PRECISIONS)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b" " * (LARGEST_CONTRACT + 1), "too-large"),
        (b'{"a": 1, "a": 2}', "duplicate-key"),
        (b'{"a": {"b": 1, "b": 1}}', "duplicate-key"),
        (b'{"a": Infinity}', "not-json"),
        (b'{"a": 1e999}', "damaged"),
        (b"[" * 100_000, "not-json"),
        (b"[" * 40 + b"]" * 40, "not-json"),
        (b'{"a": "\xff"}', "not-json"),
        (b'{"a": 1} ,', "not-json"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not-json"),
    ],
)
def test_json_is_read_strictly(content: bytes, reason: str):
    with pytest.raises(ContractError) as caught:
        parse_json(content, "contract.json")
    assert caught.value.reason == reason


def test_what_a_checkpoint_says_beside_its_weights_does_not_change_which_network_it_is(
    small_checkpoint: Path, tmp_path: Path
):
    copy_of_it = tmp_path / "copy.safetensors"
    copy_of_it.write_bytes(small_checkpoint.read_bytes())
    before = read_header(copy_of_it)
    record_provenance(copy_of_it, {"test_dice": 0.9})
    after = read_header(copy_of_it)
    assert before.sha256 != after.sha256
    assert before.weights_sha256 == after.weights_sha256 == weights_hash(load_network(after))
    assert network_spec(after).weights_sha256 == before.weights_sha256


def test_golden_files_are_the_same_bytes_each_time(tmp_path: Path):
    for name in ("first", "second"):
        write_example(tmp_path / name, Example(height=12, width=16))
    contents = [(tmp_path / name / "golden.safetensors").read_bytes() for name in ("first", "second")]
    assert contents[0] == contents[1]
    assert open_bundle(tmp_path / "first").contract == open_bundle(tmp_path / "second").contract


def test_a_missing_field_is_refused(contract):
    values = {key: value for key, value in contract.values.items() if key != "checkpoint"}
    with pytest.raises(ContractError, match="checkpoint"):
        validate_contract(values, "contract.json")


@pytest.mark.parametrize("text", ["", "{", "[]", '"text"', '{"schema_version": "1"}'])
def test_what_is_no_contract_is_refused(tmp_path: Path, text: str):
    (tmp_path / "contract.json").write_text(text)
    with pytest.raises(ContractError):
        read_contract(tmp_path)


def test_a_folder_that_is_no_bundle_is_refused(tmp_path: Path):
    with pytest.raises(ContractError, match="not a bundle"):
        read_contract(tmp_path)


def test_classes_get_names_and_distinct_colours():
    classes = default_classes(4, ("right ventricle",))
    assert [entry.name for entry in classes] == ["right ventricle", "class 2", "class 3"]
    assert len({entry.colour for entry in classes}) == 3
