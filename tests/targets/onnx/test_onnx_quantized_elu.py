"""ELU between rounded values as one node: the same levels by its body, by our kernel, and as three operators."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
from numpy.typing import NDArray

from s2m_edge.native import build_library, find_cmake, find_compiler
from s2m_edge.targets.onnx.operator_library import kernel_library, register_kernel
from s2m_edge.targets.onnx.quantized_elu import OPERATOR, quantized_elus_as_nodes
from s2m_edge.targets.onnx.spectral import OPSET

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
needs_compiler = pytest.mark.skipif(
    find_compiler() is None or find_cmake() is None, reason="no C++ compiler or no CMake: the kernels cannot be built"
)

# Scale and zero point of what comes in and of what goes out, alpha: usual ones, nothing negative, nothing but negative,
# answers beyond the levels at both ends, another alpha.
CASES = [
    (0.0625, 128, 0.03125, 32, 1.0),
    (0.02, 0, 0.02, 0, 1.0),
    (0.031, 255, 0.0039, 255, 1.0),
    (0.1, 100, 0.01, 60, 1.0),
    (0.05, 140, 0.04, 50, 0.5),
]


def model_of(scale: float, zero_point: int, new_scale: float, new_zero_point: int, alpha: float, extra: str = ""):
    """All 256 levels through DequantizeLinear, Elu and QuantizeLinear; `extra` is a statement more."""
    return onnx.parser.parse_model(f"""
<ir_version: 9, opset_import: ["" : {OPSET}]>
chain (uint8[1,4,8,8] levels) => (uint8[1,4,8,8] rounded)
<float scale = {{{scale}}}, uint8 zero = {{{zero_point}}},
 float new_scale = {{{new_scale}}}, uint8 new_zero = {{{new_zero_point}}}>
{{
    x = DequantizeLinear (levels, scale, zero)
    y = Elu <alpha = {alpha}> (x)
    rounded = QuantizeLinear (y, new_scale, new_zero)
    {extra}
}}
""")


def run(model, kernels: bool = False) -> NDArray[np.uint8]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    if kernels:
        register_kernel(options)
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    levels = np.arange(256, dtype=np.uint8).reshape(1, 4, 8, 8)
    return session.run(None, {"levels": levels})[0].ravel()


def kernel_calls() -> int:
    count = ctypes.CDLL(str(build_library(kernel_library()))).s2m_edge_quantized_elu_calls
    count.restype = ctypes.c_uint64
    return count()


@needs_compiler
@pytest.mark.parametrize("case", CASES)
def test_every_level_has_the_same_answer(case: tuple[float, int, float, int, float]):
    scale, zero_point, new_scale, new_zero_point, alpha = case
    x = (np.arange(256, dtype=np.float32) - np.float32(zero_point)) * np.float32(scale)
    y = np.where(x >= 0, x, np.float32(alpha) * (np.exp(np.minimum(x, 0)) - 1))  # float32: it decides about ties
    expected = np.clip(np.round(y / np.float32(new_scale)) + new_zero_point, 0, 255)
    model = model_of(*case)
    three = run(model)
    assert quantized_elus_as_nodes(model) == 1
    onnx.checker.check_model(model, full_check=True)
    assert [node.op_type for node in model.graph.node] == ["Transpose", OPERATOR, "Transpose"]
    before = kernel_calls()
    body = run(model)
    assert kernel_calls() == before
    kernel = run(model, kernels=True)
    assert kernel_calls() == before + 1
    for found in (three, body, kernel):
        np.testing.assert_array_equal(found, expected)


def test_the_node_keeps_the_note_of_its_module():
    model = model_of(*CASES[0])
    note = model.graph.node[1].metadata_props.add()
    note.key, note.value = "scopes", "encoder.0"
    quantized_elus_as_nodes(model)
    assert [(entry.key, entry.value) for entry in model.graph.node[1].metadata_props] == [("scopes", "encoder.0")]


@pytest.mark.parametrize(
    "extra",
    ["other = Relu (y)", "other = Relu (x)", "other = Identity (new_scale)"],
    ids=["the-curve-has-another-user", "the-values-have-another-user", "a-constant-may-have-many"],
)
def test_values_that_others_need_stay(extra: str):
    model = model_of(*CASES[0], extra=extra)
    assert quantized_elus_as_nodes(model) == int("new_scale" in extra)


def test_a_scale_that_is_computed_stays():
    model = model_of(*CASES[0])
    model.graph.node.insert(0, onnx.helper.make_node("Abs", ["scale"], ["computed"]))
    model.graph.node[1].input[1] = "computed"
    assert quantized_elus_as_nodes(model) == 0
    assert not model.functions
