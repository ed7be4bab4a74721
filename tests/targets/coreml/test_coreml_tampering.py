"""Packages that were damaged, edited, or made by somebody else."""

from __future__ import annotations

import json
import shutil
import struct
import sys

import numpy as np
import pytest

from s2m_edge.errors import ContractError, LoweringError
from s2m_edge.targets.coreml.evaluator import Evaluator, open_package

pytestmark = pytest.mark.skipif(sys.platform == "darwin", reason="Core ML itself reads packages there")


def _operations(model):
    function = model.mlProgram.functions["main"]
    return function.block_specializations[function.opset].operations


def _first(model, kind):
    return next(operation for operation in _operations(model) if operation.type == kind)


def _evaluator(path):
    return Evaluator(open_package(path))


def _run(path):
    return _evaluator(path).run(np.full((96, 96, 3), 90, np.uint8))


def test_an_unedited_copy_still_runs(tampered):
    assert _run(tampered(lambda model: None)).shape == (1, 1, 96, 96)


def test_unknown_operation(tampered):
    def edit(model):
        _first(model, "elu").type = "gru"

    with pytest.raises(LoweringError, match=r"does not know the operation gru elu.*choose another target"):
        _evaluator(tampered(edit))


def test_unknown_parameter(tampered):
    def edit(model):
        relu = _first(model, "relu")
        relu.inputs["clip"].CopyFrom(relu.inputs["x"])

    with pytest.raises(LoweringError, match="unknown parameter clip"):
        _evaluator(tampered(edit))


def test_absent_parameter(tampered):
    with pytest.raises(LoweringError, match="lacks its parameter alpha"):
        _evaluator(tampered(lambda model: _first(model, "elu").inputs.pop("alpha")))


def test_unknown_attribute(tampered):
    def edit(model):
        relu = _first(model, "relu")
        relu.attributes["limit"].CopyFrom(relu.attributes["name"])

    with pytest.raises(LoweringError, match="has limit"):
        _evaluator(tampered(edit))


def test_undefined_value(tampered):
    def edit(model):
        _first(model, "relu").inputs["x"].arguments[0].name = "nothing"

    with pytest.raises(ContractError, match="uses nothing, which is not defined"):
        _evaluator(tampered(edit))


def test_declared_shape(tampered):
    def edit(model):
        _first(model, "relu").outputs[0].type.tensorType.dimensions[1].constant.size += 1

    with pytest.raises(LoweringError, match=r"operation relu .* gives float32\[1, .*declares float32\[1,"):
        _run(tampered(edit))


def test_declared_type(tampered):
    def edit(model):
        _first(model, "sigmoid").outputs[0].type.tensorType.dataType = 10

    with pytest.raises(LoweringError, match=r"operation sigmoid .* gives float32.*declares float16"):
        _run(tampered(edit))


def test_swapped_operands_do_not_fit(tampered):
    def edit(model):
        linear = _first(model, "linear")
        linear.inputs["weight"].arguments[0].name = _first(model, "conv").inputs["weight"].arguments[0].name

    with pytest.raises(LoweringError, match=r"operation linear .* cannot be computed"):
        _run(tampered(edit))


@pytest.mark.parametrize(
    ("parameter", "value", "message"),
    [
        ("groups", 2, "cannot be computed"),
        ("pad_type", "same_lower", "pad_type = same_lower"),
        ("strides", 3, "declares"),
    ],
)
def test_changed_convolution(tampered, parameter, value, message):
    def edit(model):
        name = _first(model, "conv").inputs[parameter].arguments[0].name
        constant = next(operation for operation in _operations(model) if operation.outputs[0].name == name)
        tensor = constant.attributes["val"].immediateValue.tensor
        values = tensor.strings.values if isinstance(value, str) else tensor.ints.values
        values[0] = value

    with pytest.raises(LoweringError, match=message):
        _run(tampered(edit))


def test_constant_that_contradicts_its_type(tampered):
    def edit(model):
        name = _first(model, "conv").inputs["strides"].arguments[0].name
        constant = next(operation for operation in _operations(model) if operation.outputs[0].name == name)
        constant.attributes["val"].immediateValue.tensor.ints.values.append(1)

    with pytest.raises(ContractError, match="holds 3 values"):
        _evaluator(tampered(edit))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda d: setattr(d.input[0].type.imageType, "width", 64), "image is"),
        (lambda d: setattr(d.input[0].type.imageType, "colorSpace", 10), "image is"),
        (lambda d: setattr(d.input[0].type.imageType.imageSizeRange.widthRange, "upperBound", 512), "flexible"),
        (lambda d: setattr(d.output[0], "name", "mask"), "outputs"),
        (lambda d: setattr(d.output[0].type.multiArrayType, "dataType", 65552), "described as float16"),
    ],
)
def test_description_that_contradicts_the_program(tampered, edit, message):
    with pytest.raises((ContractError, LoweringError), match=message):
        _evaluator(tampered(lambda model: edit(model.description)))


def test_other_kind_of_model(tampered):
    with pytest.raises(ContractError, match="neuralNetwork, not an ML Program"):
        _evaluator(tampered(lambda model: model.neuralNetwork.SetInParent()))


def test_other_opset(tampered):
    with pytest.raises(LoweringError, match="opset 'CoreML9'"):
        _evaluator(tampered(lambda model: setattr(model.mlProgram.functions["main"], "opset", "CoreML9")))


def test_weights_outside_the_package(tampered):
    def edit(model):
        constant = next(
            operation
            for operation in _operations(model)
            if operation.type == "const" and operation.attributes["val"].WhichOneof("value") == "blobFileValue"
        )
        constant.attributes["val"].blobFileValue.fileName = "@model_path/../../../../weight.bin"

    with pytest.raises(ContractError, match="outside itself"):
        _evaluator(tampered(edit))


def _weights(path):
    return path / "Data" / "com.apple.CoreML" / "weights" / "weight.bin"


def _last_blob_data(content):
    position = 64
    for _ in range(struct.unpack_from("<I", content)[0]):
        size, start = struct.unpack_from("<QQ", content, position + 8)
        position = -(-(start + size) // 64) * 64
    return start, size


def test_truncated_weights(tampered):
    path = tampered(lambda model: None)
    content = _weights(path).read_bytes()
    _weights(path).write_bytes(content[: len(content) // 2])
    with pytest.raises(ContractError, match="weight file"):
        _evaluator(path)


def test_changed_weights_change_the_result(tampered):
    path = tampered(lambda model: None)
    before = _run(path)
    content = bytearray(_weights(path).read_bytes())
    start, size = _last_blob_data(content)
    values = np.frombuffer(content, "<f4", size // 4, start).copy()
    content[start : start + size] = (values + 0.1).tobytes()
    _weights(path).write_bytes(content)
    assert np.abs(_run(path) - before).max() > 1e-4


def test_infinite_weight_is_reported_with_its_operation(tampered):
    path = tampered(lambda model: None)
    content = bytearray(_weights(path).read_bytes())
    start, size = _last_blob_data(content)
    content[start : start + size] = np.full(size // 4, np.inf, "<f4").tobytes()
    _weights(path).write_bytes(content)
    with pytest.raises(LoweringError, match=r"the operation (conv|linear|layer_norm) .* not finite: (-?inf|nan)"):
        _run(path)


def test_overflow_of_float16_is_reported(saved, tmp_path):
    path = tmp_path / "half.mlpackage"
    shutil.copytree(saved("float16-matmul-grey").path, path)
    content = bytearray(_weights(path).read_bytes())
    position = 64
    for _ in range(struct.unpack_from("<I", content)[0]):
        size, start = struct.unpack_from("<QQ", content, position + 8)
        content[start : start + size] = np.full(size // 2, 6e4, "<f2").tobytes()
        position = -(-(start + size) // 64) * 64
    _weights(path).write_bytes(content)
    with pytest.raises(LoweringError, match=r"the operation conv .* not finite: \d.* in float16") as caught:
        Evaluator(open_package(path)).run(np.full((96, 96, 1), 200, np.uint8))
    assert "inf" not in caught.value.cause  # the value before rounding is what helps


def test_missing_manifest(tampered):
    path = tampered(lambda model: None)
    (path / "Manifest.json").unlink()
    with pytest.raises(ContractError, match=r"no readable Manifest\.json"):
        _evaluator(path)


def test_no_package_at_all(tmp_path):
    with pytest.raises(ContractError, match="is not a Core ML package"):
        open_package(tmp_path / "nothing.mlpackage")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"author": "com.example.other"}, "package of com.example.other"),
        ({"path": "../../elsewhere.mlmodel"}, "outside itself"),
        ({"path": "com.apple.CoreML/absent.mlmodel"}, "cannot be read"),
    ],
)
def test_foreign_manifest(tampered, change, message):
    path = tampered(lambda model: None)
    manifest = json.loads((path / "Manifest.json").read_text())
    manifest["itemInfoEntries"][manifest["rootModelIdentifier"]].update(change)
    (path / "Manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ContractError, match=message):
        _evaluator(path)


@pytest.mark.parametrize("content", ["{", "[]", '{"itemInfoEntries": {}}'])
def test_damaged_manifest(tampered, content):
    path = tampered(lambda model: None)
    (path / "Manifest.json").write_text(content)
    with pytest.raises(ContractError, match=r"Manifest\.json"):
        _evaluator(path)


def test_damaged_model_file(tampered):
    path = tampered(lambda model: None)
    model = path / "Data" / "com.apple.CoreML" / "model.mlmodel"
    model.write_bytes(model.read_bytes()[:-100])
    with pytest.raises((ContractError, LoweringError)):
        _evaluator(path)
