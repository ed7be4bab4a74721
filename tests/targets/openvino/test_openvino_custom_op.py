"""The spectral filter stays one node of the IR, and OpenVINO runs it through our extension library."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from s2m_edge import native
from s2m_edge.deploy.precision import Precision, SpectralLowering
from s2m_edge.errors import NativeBuildError
from s2m_edge.imaging.preprocess import normalise
from s2m_edge.native import find_cmake, find_compiler
from s2m_edge.network.blocks import SpectralBranch
from s2m_edge.network.spectral import reference_spectral_filter, spectral_filter
from s2m_edge.targets.base import LoweringRequest
from s2m_edge.targets.onnx.export import ONNXExporter
from s2m_edge.targets.openvino.backend import import_openvino
from s2m_edge.targets.openvino.export import OpenVINOExporter
from s2m_edge.targets.openvino.extension import build_extension, count_spectral_nodes
from s2m_edge.targets.openvino.run import OpenVINORunner
from s2m_edge.targets.registry import find_target
from support import SPECTRAL_STAGES, Case, lowering_request, make_case

if find_target("openvino").version() is None:  # importorskip would import it with its telemetry
    pytest.skip("openvino is not installed", allow_module_level=True)

pytestmark = pytest.mark.skipif(
    find_compiler() is None or find_cmake() is None, reason="no C++ compiler or no CMake: the kernel cannot be built"
)
STAGES = len(SPECTRAL_STAGES)
FLOAT32 = {"INFERENCE_PRECISION_HINT": "f32"}


@pytest.fixture(scope="module")
def case() -> Case:
    return make_case(classes=1, channels=3)


def request_for(case: Case, spectral: SpectralLowering = "custom", precision: Precision = "float32") -> LoweringRequest:
    return lowering_request(case.model, precision, spectral, case.preprocessing, {"notice": "Research use only"})


def export(case: Case, folder: Path, **options) -> Path:
    return OpenVINOExporter(find_target("openvino")).export(request_for(case, **options), folder)


def open_runner(case: Case, path: Path, threads: int | None = None) -> OpenVINORunner:
    return OpenVINORunner(path, OpenVINOExporter.interface, case.preprocessing, "float32", threads)


class OneFilter(nn.Module):
    """Nothing but the op, with a filter that has no symmetry."""

    def __init__(self, channels: int, rows: int, columns: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels, rows, columns, generator=torch.Generator().manual_seed(0)))

    def forward(self, x: Tensor) -> Tensor:
        return spectral_filter(x, self.weight)

    def expected(self, image: NDArray[np.floating]) -> NDArray[np.float64]:
        return reference_spectral_filter(torch.from_numpy(image).double(), self.weight.detach().double()).numpy()


def noise(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


@pytest.fixture
def nothing_to_build_with(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without a compiler, and without a library built earlier."""
    monkeypatch.setenv("S2M_EDGE_CACHE", str(tmp_path / "empty"))
    monkeypatch.delenv("S2M_EDGE_PREBUILT", raising=False)
    monkeypatch.setattr(native, "_PREBUILT", tmp_path / "absent")
    monkeypatch.setattr(native, "find_compiler", lambda: None)


@pytest.fixture(scope="module")
def artifact(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(case, tmp_path_factory.mktemp("custom"))


def kernel_calls() -> int:
    library = ctypes.CDLL(str(build_extension()))
    library.s2m_edge_spectral_filter_calls.restype = ctypes.c_uint64
    return library.s2m_edge_spectral_filter_calls()


def test_every_stage_keeps_its_node_in_the_file_and_in_what_the_plugin_executes(case: Case, artifact: Path):
    assert count_spectral_nodes(ElementTree.parse(artifact).getroot()) == STAGES
    assert 'type="MatMul"' not in artifact.read_text(encoding="utf-8")
    assert open_runner(case, artifact).observations()["spectral_filter_nodes"] == STAGES


def test_the_kernel_is_called_and_the_answer_is_eagers(case: Case, artifact: Path):
    runner = open_runner(case, artifact)
    before = kernel_calls()
    found = runner.predict(case.fitted)
    assert kernel_calls() == before + STAGES
    assert np.abs(found - case.expected).max() < 1e-5


def test_constant_matrices_call_no_kernel_and_agree(case: Case, artifact: Path, tmp_path: Path):
    plain = open_runner(case, export(case, tmp_path, spectral="matmul"))
    before = kernel_calls()
    found = plain.predict(case.fitted)
    assert kernel_calls() == before
    assert plain.observations()["spectral_filter_nodes"] == 0
    assert np.abs(found - open_runner(case, artifact).predict(case.fitted)).max() < 1e-5


def test_half_precision_storage_keeps_the_nodes(case: Case, tmp_path: Path):
    runner = open_runner(case, export(case, tmp_path, precision="float16"))
    assert runner.observations()["spectral_filter_nodes"] == STAGES
    assert np.abs(runner.predict(case.fitted) - case.expected).max() < 2e-2


def test_without_the_extension_the_file_is_not_read(artifact: Path):
    with pytest.raises(RuntimeError, match="s2m_edge"):
        import_openvino().Core().read_model(artifact)


@pytest.mark.parametrize("threads", [1, 2])
def test_three_classes_of_a_grey_picture(tmp_path: Path, threads: int):
    grey = make_case(classes=3, channels=1)
    found = open_runner(grey, export(grey, tmp_path), threads).predict(grey.fitted)
    assert np.abs(found - grey.expected).max() < 1e-5


def test_a_traced_module_is_converted_and_its_axes_stay_free():
    ov = import_openvino()
    module = OneFilter(3, 7, 6)
    with torch.no_grad():
        model = ov.convert_model(module, example_input=torch.rand(1, 3, 16, 16), extension=[build_extension()])
    # The channels are the filter's; the other axes are the image's.
    assert [axis.is_dynamic for axis in model.output().partial_shape] == [True, False, True, True]
    compiled = ov.compile_model(model, "CPU", {**FLOAT32, "INFERENCE_NUM_THREADS": 2})
    for shape in ((1, 3, 16, 16), (2, 3, 5, 19), (1, 3, 3, 4)):
        image = noise(*shape)
        np.testing.assert_allclose(compiled(image)[0], module.expected(image), rtol=0, atol=1e-5)
    model.reshape([2, 3, 8, 10])
    assert list(model.output().shape) == [2, 3, 8, 10]


@pytest.mark.parametrize(("shape", "reason"), [([1, 4, 8, 8], "differ in channels"), ([3, 8, 8], "not B x C x H x W")])
def test_an_image_that_does_not_fit_the_filter_is_refused(shape: list[int], reason: str):
    with torch.no_grad():
        program = torch.export.export(OneFilter(3, 5, 5), (torch.rand(1, 3, 8, 8),))
    model = import_openvino().convert_model(program, extension=[build_extension()])
    with pytest.raises(RuntimeError, match=reason):
        model.reshape(shape)


def test_half_precision_tensors_are_filtered_with_one_rounding_at_the_end():
    ov = import_openvino()
    module = OneFilter(2, 7, 7).half()
    with torch.no_grad():
        program = torch.export.export(module, (torch.rand(1, 2, 12, 12).half(),))
    model = ov.convert_model(program, extension=[build_extension()])
    assert model.output().element_type == ov.Type.f16
    image = noise(1, 2, 12, 12).astype(np.float16)
    answer = ov.Tensor(ov.Type.f16, ov.Shape(list(image.shape)))
    before = kernel_calls()
    assert model.evaluate([answer], [ov.Tensor(image)])
    assert kernel_calls() == before + 1
    np.testing.assert_allclose(answer.data, module.expected(image), rtol=2.0**-11, atol=1e-5)


@pytest.mark.parametrize(
    ("length", "kept"), [(1, 1), (6, 6), (7, 7), (8, 5), (8, 4), (9, 4), (16, 16), (16, 1), (5, 2)]
)
def test_a_filter_regained_from_our_onnx_nodes_gains_filters_alike(length: int, kept: int):
    onnx = pytest.importorskip("onnx")
    from s2m_edge.targets.onnx.spectral import DOMAIN, DOMAIN_VERSION, OPERATOR, OPSET, NodeSpectralBranch

    module, branch = OneFilter(2, kept, kept), SpectralBranch(2, kept, 1e-6)
    branch.filter.data = module.weight.data
    node = NodeSpectralBranch(branch, length, length)
    names, shape = ["basis", "even", "odd"], [1, 2, length, length]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node(OPERATOR, ["image", *names], ["filtered"], domain=DOMAIN)],
        "one filter",
        [onnx.helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, shape)],
        [onnx.helper.make_tensor_value_info("filtered", onnx.TensorProto.FLOAT, shape)],
        [onnx.numpy_helper.from_array(getattr(node, name).numpy(), name) for name in names],
    )
    opsets = [onnx.helper.make_opsetid("", OPSET), onnx.helper.make_opsetid(DOMAIN, DOMAIN_VERSION)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10)
    core = import_openvino().Core()
    core.add_extension(build_extension())
    image = noise(*shape)
    found = core.compile_model(core.read_model(model.SerializeToString()), "CPU", FLOAT32)(image)[0]
    np.testing.assert_allclose(found, module.expected(image), rtol=0, atol=1e-5)


@pytest.mark.parametrize("bare", [True, False], ids=["bare node", "with its function body"])
@pytest.mark.parametrize(("precision", "limit"), [("float32", 1e-5), ("float16", 2e-2)])
def test_our_onnx_node_is_converted_to_it(case: Case, tmp_path: Path, precision: Precision, limit: float, bare: bool):
    onnx = pytest.importorskip("onnx")
    from onnx import inliner

    from s2m_edge.targets.onnx.spectral import DOMAIN

    path = ONNXExporter(find_target("onnx")).export(request_for(case, precision=precision), tmp_path)
    # OpenVINO's reader expands no function bodies: what our extension has no operation for is expanded before.
    others = [(DOMAIN, "ReceptiveField"), (DOMAIN, "ChannelNorm")]
    stored = inliner.inline_selected_functions(onnx.load(path), others)
    if bare:
        del stored.functions[:]
    onnx.save(stored, path)
    core = import_openvino().Core()
    core.add_extension(build_extension())
    model = core.read_model(path)
    kinds = [node.get_type_name() for node in model.get_ops()]
    assert kinds.count("SpectralFilter") == STAGES
    compiled = core.compile_model(model, "CPU", FLOAT32)
    before = kernel_calls()
    found = compiled(normalise(case.fitted, case.preprocessing))[0][0]
    assert np.abs(found - case.expected).max() < limit
    assert kernel_calls() == before + STAGES


@pytest.mark.usefixtures("nothing_to_build_with")
def test_without_a_compiler_nothing_is_lowered_and_the_way_out_is_named(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("torch.export.export", lambda *_, **__: pytest.fail("it began to export"))
    with pytest.raises(NativeBuildError, match=r"there is no C\+\+ compiler here.*--spectral matmul"):
        export(case, tmp_path)


@pytest.mark.usefixtures("nothing_to_build_with")
def test_without_a_compiler_a_saved_file_names_the_way_out(case: Case, artifact: Path):
    with pytest.raises(NativeBuildError, match=r"there is no C\+\+ compiler here.*--spectral matmul") as caught:
        open_runner(case, artifact)
    assert "\n" not in str(caught.value)


def test_a_fresh_process_reads_the_file_and_gives_the_same(case: Case, artifact: Path, tmp_path: Path):
    np.save(tmp_path / "fitted.npy", case.fitted)
    code = (
        "import sys, numpy as np\n"
        "from pathlib import Path\n"
        "from s2m_edge.imaging.preprocess import Preprocessing\n"
        "from s2m_edge.targets.openvino.export import OpenVINOExporter\n"
        "from s2m_edge.targets.openvino.run import OpenVINORunner\n"
        "prepared = Preprocessing(96, 96, 3, mean=(0.4, 0.5, 0.6), standard_deviation=(0.9, 1.0, 1.1))\n"
        "runner = OpenVINORunner(Path(sys.argv[1]), OpenVINOExporter.interface, prepared, 'float32')\n"
        "np.save(sys.argv[3], runner.predict(np.load(sys.argv[2])))\n"
    )
    command = [sys.executable, "-c", code, str(artifact), str(tmp_path / "fitted.npy"), str(tmp_path / "out.npy")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    assert np.abs(np.load(tmp_path / "out.npy") - case.expected).max() < 1e-5
