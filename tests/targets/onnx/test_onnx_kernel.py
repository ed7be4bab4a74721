"""ONNX Runtime runs the spectral filter through the native kernel when it is asked to, and its function body if not."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from s2m_edge import native
from s2m_edge.deploy.precision import Precision, SpectralLowering
from s2m_edge.errors import NativeBuildError
from s2m_edge.native import build_library, find_cmake, find_compiler
from s2m_edge.network.blocks import SpectralBranch
from s2m_edge.network.spectral import reference_spectral_filter
from s2m_edge.targets.onnx.export import ONNXExporter
from s2m_edge.targets.onnx.operator_library import SWITCH, kernel_library, register_kernel
from s2m_edge.targets.onnx.run import ONNXRunner
from s2m_edge.targets.onnx.spectral import DOMAIN, DOMAIN_VERSION, OPERATOR, OPSET, NodeSpectralBranch
from s2m_edge.targets.registry import find_target
from support import SPECTRAL_STAGES, Case, lowering_request, make_case

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

pytestmark = pytest.mark.skipif(
    find_compiler() is None or find_cmake() is None, reason="no C++ compiler or no CMake: the kernel cannot be built"
)
STAGES = len(SPECTRAL_STAGES)


@pytest.fixture(scope="module")
def case() -> Case:
    return make_case(classes=1, channels=3)


def export(case: Case, folder: Path, precision: Precision = "float32", spectral: SpectralLowering = "custom") -> Path:
    request = lowering_request(case.model, precision, spectral, case.preprocessing)
    return ONNXExporter(find_target("onnx")).export(request, folder)


@pytest.fixture(scope="module")
def artifact(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(case, tmp_path_factory.mktemp("custom"))


@pytest.fixture
def asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SWITCH, "1")


def open_runner(case: Case, path: Path, threads: int | None = 1) -> ONNXRunner:
    return ONNXRunner(path, ONNXExporter.interface, case.preprocessing, "float32", threads)


def kernel_calls() -> int:
    library = ctypes.CDLL(str(build_library(kernel_library())))
    library.s2m_edge_spectral_filter_calls.restype = ctypes.c_uint64
    return library.s2m_edge_spectral_filter_calls()


def session_of(length: int, even_shape: tuple[int, ...], arrays: dict[str, NDArray[np.float32]]) -> Any:
    """A model of one bare node, without function body, whose gains are inputs of any shape."""
    tensor = onnx.TensorProto.FLOAT
    ports = {"image": [None, even_shape[0], length, length], "even": list(even_shape)}
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node(OPERATOR, ["image", "basis", "even", "odd"], ["filtered"], domain=DOMAIN)],
        "one filter",
        [onnx.helper.make_tensor_value_info(name, tensor, shape) for name, shape in ports.items()],
        [onnx.helper.make_tensor_value_info("filtered", tensor, None)],
        [onnx.numpy_helper.from_array(arrays[name], name) for name in ("basis", "odd")],
    )
    opsets = [onnx.helper.make_opsetid("", OPSET), onnx.helper.make_opsetid(DOMAIN, DOMAIN_VERSION)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    register_kernel(options)
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def branch_of(length: int, kept: int) -> tuple[torch.Tensor, dict[str, NDArray[np.float32]]]:
    """A filter without symmetry, and what our node holds of it."""
    branch = SpectralBranch(2, kept, 1e-6)
    weight = torch.randn(2, kept, kept, generator=torch.Generator().manual_seed(0))
    branch.filter.data = weight
    node = NodeSpectralBranch(branch, length, length)
    return weight, {name: getattr(node, name).numpy() for name in ("basis", "even", "odd")}


def test_unasked_the_function_body_runs(case: Case, artifact: Path, monkeypatch: pytest.MonkeyPatch):
    before = kernel_calls()
    for value in (None, "", "0"):
        if value is None:
            monkeypatch.delenv(SWITCH, raising=False)
        else:
            monkeypatch.setenv(SWITCH, value)
        runner = open_runner(case, artifact)
        np.testing.assert_allclose(runner.predict(case.fitted), case.expected, rtol=0, atol=1e-5)
        assert "native" not in runner.device
    assert kernel_calls() == before


@pytest.mark.usefixtures("asked_for")
@pytest.mark.parametrize("threads", [1, 2, None])
def test_asked_for_the_kernel_takes_every_nodes_place_and_the_answer_is_eagers(
    case: Case, artifact: Path, threads: int | None
):
    runner = open_runner(case, artifact, threads)
    for _ in range(2):
        before = kernel_calls()
        found = runner.predict(case.fitted)
        assert kernel_calls() == before + STAGES
        np.testing.assert_allclose(found, case.expected, rtol=0, atol=1e-5)
    assert "native kernels registered" in runner.device


@pytest.mark.usefixtures("asked_for")
def test_a_model_without_the_function_body_runs_too(case: Case, artifact: Path, tmp_path: Path):
    model = onnx.load(artifact)
    del model.functions[:]
    onnx.save(model, tmp_path / artifact.name)
    found = open_runner(case, tmp_path / artifact.name).predict(case.fitted)
    np.testing.assert_allclose(found, case.expected, rtol=0, atol=1e-5)


@pytest.mark.usefixtures("asked_for")
def test_half_precision_storage_and_constant_matrices_are_unharmed(case: Case, tmp_path: Path):
    before = kernel_calls()
    (tmp_path / "half").mkdir()
    half = open_runner(case, export(case, tmp_path / "half", "float16")).predict(case.fitted)
    assert kernel_calls() == before + STAGES
    assert 1e-6 < np.abs(half - case.expected).max() < 2e-2
    plain = open_runner(case, export(case, tmp_path, spectral="matmul")).predict(case.fitted)
    assert kernel_calls() == before + STAGES
    np.testing.assert_allclose(plain, case.expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("length", "kept"), [(1, 1), (6, 6), (7, 7), (8, 5), (8, 4), (9, 4), (16, 16), (16, 1), (5, 2)]
)
@pytest.mark.parametrize("batch", [1, 3])
def test_the_node_filters_as_the_definition_does(length: int, kept: int, batch: int):
    weight, arrays = branch_of(length, kept)
    image = np.random.default_rng(0).standard_normal((batch, 2, length, length), dtype=np.float32)
    session = session_of(length, arrays["even"].shape, arrays)
    found = session.run(None, {"image": image, "even": arrays["even"]})[0]
    expected = reference_spectral_filter(torch.from_numpy(image).double(), weight.double()).numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_gains_that_do_not_fit_are_refused_and_not_read():
    _, arrays = branch_of(8, 5)
    wrong = np.zeros((2, 2, 3), np.float32)
    session = session_of(8, wrong.shape, arrays)
    image = np.zeros((1, 2, 8, 8), np.float32)
    with pytest.raises(Exception, match="takes gains C x M x M"):
        session.run(None, {"image": image, "even": wrong})


@pytest.mark.usefixtures("asked_for")
def test_without_a_compiler_the_way_out_is_to_ask_for_none(
    case: Case, artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("S2M_EDGE_CACHE", str(tmp_path / "empty"))
    monkeypatch.delenv("S2M_EDGE_PREBUILT", raising=False)
    monkeypatch.setattr(native, "_PREBUILT", tmp_path / "absent")
    monkeypatch.setattr(native, "find_compiler", lambda: None)
    with pytest.raises(NativeBuildError, match=rf"there is no C\+\+ compiler here.*unset {SWITCH}") as caught:
        open_runner(case, artifact)
    assert "\n" not in str(caught.value)


def test_a_library_that_is_none_is_refused_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    damaged = tmp_path / "libdamaged.so"
    damaged.write_bytes(b"not a library")
    monkeypatch.setattr("s2m_edge.targets.onnx.operator_library.build_library", lambda library: damaged)
    with pytest.raises(NativeBuildError, match="does not take") as caught:
        register_kernel(onnxruntime.SessionOptions())
    assert "\n" not in str(caught.value)
