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

pytest.importorskip("openvino")

from s2m_edge import native
from s2m_edge.errors import NativeBuildError
from s2m_edge.native import find_cmake, find_compiler
from s2m_edge.precision import Precision, SpectralLowering
from s2m_edge.targets.base import LoweringRequest
from s2m_edge.targets.onnx.export import ONNXExporter
from s2m_edge.targets.openvino.backend import import_openvino
from s2m_edge.targets.openvino.export import OpenVINOExporter
from s2m_edge.targets.openvino.extension import build_extension, count_spectral_nodes
from s2m_edge.targets.openvino.run import OpenVINORunner
from s2m_edge.targets.registry import find_target
from support import Case, make_case

pytestmark = pytest.mark.skipif(
    find_compiler() is None or find_cmake() is None, reason="no C++ compiler or no CMake: the kernel cannot be built"
)
STAGES = 5


@pytest.fixture(scope="module")
def case() -> Case:
    return make_case(classes=1, channels=3)


def request_for(case: Case, spectral: SpectralLowering = "custom", precision: Precision = "float32") -> LoweringRequest:
    return LoweringRequest(case.model, precision, spectral, case.preprocessing, {"notice": "Research use only"})


def export(case: Case, folder: Path, **options) -> Path:
    return OpenVINOExporter(find_target("openvino")).export(request_for(case, **options), folder)


def open_runner(case: Case, path: Path) -> OpenVINORunner:
    return OpenVINORunner(path, OpenVINOExporter.interface, case.preprocessing, "float32")


@pytest.fixture(scope="module")
def artifact(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(case, tmp_path_factory.mktemp("custom"))


def kernel_calls() -> int:
    library = ctypes.CDLL(str(build_extension()))
    library.s2m_edge_spectral_filter_calls.restype = ctypes.c_uint64
    return library.s2m_edge_spectral_filter_calls()


def test_every_stage_keeps_its_node_in_the_file_and_in_what_the_plugin_executes(case: Case, artifact: Path):
    assert count_spectral_nodes(ElementTree.parse(artifact).getroot()) == STAGES
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


def test_our_onnx_node_is_converted_to_it(case: Case, tmp_path: Path):
    path = ONNXExporter(find_target("onnx")).export(request_for(case), tmp_path)
    ov = import_openvino()
    core = ov.Core()
    core.add_extension(build_extension())
    model = core.read_model(path)
    kinds = [node.get_type_name() for node in model.get_ops()]
    assert kinds.count("SpectralFilter") == STAGES
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    shape, kind = tuple(model.input().shape), model.input().element_type.get_type_name()
    assert (shape, kind) == ((1, 96, 96, 3), "u8") or shape == (1, 3, 96, 96)
    from s2m_edge.imaging.preprocess import normalise

    image = case.fitted[None] if kind == "u8" else normalise(case.fitted, case.preprocessing)
    before = kernel_calls()
    assert np.abs(compiled(image)[0][0] - case.expected).max() < 1e-5
    assert kernel_calls() == before + STAGES


def test_without_a_compiler_nothing_is_lowered_and_the_way_out_is_named(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("S2M_EDGE_CACHE", str(tmp_path / "empty"))
    monkeypatch.setattr(native, "find_compiler", lambda: None)
    monkeypatch.setattr("torch.export.export", lambda *_, **__: pytest.fail("it began to export"))
    with pytest.raises(NativeBuildError, match=r"there is no C\+\+ compiler here.*--spectral matmul"):
        export(case, tmp_path)


def test_a_fresh_process_reads_the_file_and_gives_the_same(case: Case, artifact: Path, tmp_path: Path):
    np.save(tmp_path / "fitted.npy", case.fitted)
    code = (
        "import sys, numpy as np\n"
        "from pathlib import Path\n"
        "from s2m_edge.imaging.preprocess import Preprocessing\n"
        "from s2m_edge.targets.openvino.export import OpenVINOExporter\n"
        "from s2m_edge.targets.openvino.run import OpenVINORunner\n"
        "prepared = Preprocessing(96, 3, mean=(0.4, 0.5, 0.6), standard_deviation=(0.9, 1.0, 1.1))\n"
        "runner = OpenVINORunner(Path(sys.argv[1]), OpenVINOExporter.interface, prepared, 'float32')\n"
        "np.save(sys.argv[3], runner.predict(np.load(sys.argv[2])))\n"
    )
    command = [sys.executable, "-c", code, str(artifact), str(tmp_path / "fitted.npy"), str(tmp_path / "out.npy")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    assert np.abs(np.load(tmp_path / "out.npy") - case.expected).max() < 1e-5
