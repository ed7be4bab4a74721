"""The contract is complete, checked when read, and refuses what a newer version wrote."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import jsonschema
import pytest

from s2m_edge.checkpoint import read_header
from s2m_edge.contract import contract_schema, default_classes, read_contract, validate_contract
from s2m_edge.errors import ContractError
from s2m_edge.targets.base import LoweringRequest, TensorInterface
from s2m_edge.targets.bundle import make_contract, preprocessing_for
from s2m_edge.targets.registry import find_target


@pytest.fixture
def contract(small_checkpoint: Path, small_model, tmp_path: Path):
    artifact = tmp_path / "s2mnet.onnx"
    artifact.write_bytes(b"weights")
    preprocessing = preprocessing_for(small_model.config)
    request = LoweringRequest(small_model, "float32", "matmul", preprocessing, classes=default_classes(1, ("polyp",)))
    interface = TensorInterface("float32", "NCHW")
    return make_contract(find_target("onnx"), interface, request, read_header(small_checkpoint), artifact)


def test_the_schema_is_a_valid_schema():
    jsonschema.Draft202012Validator.check_schema(contract_schema())


def test_a_contract_survives_json_and_says_what_an_app_must_know(contract, tmp_path: Path, small_checkpoint: Path):
    (tmp_path / "contract.json").write_text(json.dumps(contract.values))
    again = read_contract(tmp_path)
    assert again == contract
    assert again.preprocessing == preprocessing_for(read_header(small_checkpoint).config)
    assert again.classes[0].name == "polyp"
    assert again.threshold == 0.5
    assert "Not a medical device" in again.values["notice"]
    assert again.values["artifact"]["bytes"] == 7


def test_a_contract_from_a_newer_version_is_refused(contract):
    newer = {**contract.values, "schema_version": 2}
    with pytest.raises(ContractError, match=r"newer .*Update s2m-edge"):
        validate_contract(newer, "contract.json")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("preprocessing", "size"), 100),
        (("preprocessing", "fit"), "letterbox"),
        (("artifact", "file"), "../../etc/passwd"),
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
