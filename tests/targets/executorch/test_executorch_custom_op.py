"""The spectral filter stays one node of a .pte, and ExecuTorch runs it through the native kernel."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("executorch")

from s2m_edge.errors import LoweringError
from s2m_edge.native import build_library, find_cmake, find_compiler
from s2m_edge.network.spectral import QUALIFIED_NAME
from s2m_edge.targets.executorch.export import ExecuTorchExporter
from s2m_edge.targets.executorch.operator_library import OPERATOR, kernel_library
from s2m_edge.targets.executorch.run import ExecuTorchRunner
from s2m_edge.targets.registry import find_target
from support import SPECTRAL_STAGES, Case, lowering_request, make_case

pytestmark = pytest.mark.skipif(
    find_compiler() is None or find_cmake() is None, reason="no C++ compiler or no CMake: the kernel cannot be built"
)
STAGES = len(SPECTRAL_STAGES)
UNKNOWN = "s2m_edge::spectral_filtre"


@pytest.fixture(scope="module")
def case() -> Case:
    return make_case(classes=1, channels=3)


def export(case: Case, folder: Path) -> Path:
    request = lowering_request(case.model, "float32", "custom", case.preprocessing, {"notice": "Research use only"})
    return ExecuTorchExporter(find_target("executorch")).export(request, folder)


@pytest.fixture(scope="module")
def artifact(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(case, tmp_path_factory.mktemp("custom"))


@pytest.fixture(scope="module")
def foreign(artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same program, but its operator has a name of the same length that nothing registers."""
    known, whole = QUALIFIED_NAME.encode(), artifact.read_bytes()
    assert known in whole
    path = tmp_path_factory.mktemp("foreign") / artifact.name
    path.write_bytes(whole.replace(known, UNKNOWN.encode()))
    return path


@pytest.fixture(scope="module")
def runner(case: Case, artifact: Path) -> ExecuTorchRunner:
    return ExecuTorchRunner(artifact, ExecuTorchExporter.interface, case.preprocessing, "float32")


def test_every_stage_keeps_its_node_and_everything_else_is_delegated(runner: ExecuTorchRunner):
    assert runner.observations()["operators not delegated"] == {OPERATOR: STAGES}


def test_the_kernel_is_called_and_the_answer_is_eagers(case: Case, runner: ExecuTorchRunner):
    library = ctypes.CDLL(str(build_library(kernel_library())))
    library.s2m_edge_spectral_filter_calls.restype = ctypes.c_uint64
    before = library.s2m_edge_spectral_filter_calls()
    found = runner.predict(case.fitted)
    assert library.s2m_edge_spectral_filter_calls() == before + STAGES
    assert np.abs(found - case.expected).max() < 1e-5


def test_a_program_whose_kernel_no_library_has_is_refused_by_the_kernels_name(case: Case, foreign: Path):
    with pytest.raises(LoweringError, match=f"{UNKNOWN}.out, which the ExecuTorch runtime here does not have") as error:
        ExecuTorchRunner(foreign, ExecuTorchExporter.interface, case.preprocessing, "float32")
    assert "--spectral matmul" in str(error.value)


def test_a_process_without_kernel_and_compiler_lowers_nothing_and_refuses_a_program_each_in_one_line(
    artifact: Path, tmp_path: Path
):
    code = (
        "import sys, torch\n"
        "from pathlib import Path\n"
        "from s2m_edge import S2MNet, S2MNetConfig, native\n"
        "from s2m_edge.deploy.spec import make_spec\n"
        "from s2m_edge.errors import NativeBuildError\n"
        "from s2m_edge.imaging.preprocess import Preprocessing\n"
        "from s2m_edge.targets.base import LoweringRequest\n"
        "from s2m_edge.targets.executorch.export import ExecuTorchExporter\n"
        "from s2m_edge.targets.executorch.run import ExecuTorchRunner\n"
        "from s2m_edge.targets.registry import find_target\n"
        "native.find_compiler = lambda: None\n"
        "torch.export.export = lambda *_, **__: sys.exit('it began to lower')\n"
        "shape = Preprocessing(96, 96, 3)\n"
        "spec = make_spec('small', height=96, width=96)\n"
        "request = LoweringRequest(S2MNet(S2MNetConfig(size=96)).eval(), spec, 'float32', 'custom')\n"
        "for action in (\n"
        "    lambda: ExecuTorchExporter(find_target('executorch')).export(request, Path(sys.argv[2])),\n"
        "    lambda: ExecuTorchRunner(Path(sys.argv[1]), ExecuTorchExporter.interface, shape, 'float32'),\n"
        "):\n"
        "    try:\n"
        "        action()\n"
        "    except NativeBuildError as error:\n"
        "        print(f'refused: {error}')\n"
    )
    command = [sys.executable, "-c", code, str(artifact), str(tmp_path / "out")]
    environment = {**os.environ, "S2M_EDGE_CACHE": str(tmp_path / "empty")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    for line in lines:
        assert line.startswith("refused: the native kernel")
        assert "there is no C++ compiler here" in line
        assert "--spectral matmul" in line
