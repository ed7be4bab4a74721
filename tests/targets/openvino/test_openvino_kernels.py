"""The IR asks for kernels with channels in blocks where those are faster, and gives the same answer without asking."""

from __future__ import annotations

import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from s2m_edge.targets.base import LoweringRequest
from s2m_edge.targets.openvino.kernels import ATTRIBUTE, LAYERS
from s2m_edge.targets.openvino.run import OpenVINORunner
from s2m_edge.targets.registry import find_target
from support import Case, make_case

if find_target("openvino").version() is None:
    pytest.skip("openvino is not installed", allow_module_level=True)


@pytest.fixture(scope="module")
def case() -> Case:
    return make_case(classes=1, channels=3)


@pytest.fixture(scope="module")
def asking(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    exporter = find_target("openvino").make_exporter()
    request = LoweringRequest(case.model, "float32", "matmul", case.preprocessing)
    return exporter.export(request, tmp_path_factory.mktemp("asking"))


@pytest.fixture(scope="module")
def silent(asking: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same IR without the attribute."""
    path = tmp_path_factory.mktemp("silent") / asking.name
    tree = ElementTree.parse(asking)
    for notes in tree.iterfind(".//layer/rt_info"):
        for attribute in [entry for entry in notes if entry.get("name") == ATTRIBUTE]:
            notes.remove(attribute)
    tree.write(path)
    shutil.copy(asking.with_suffix(".bin"), path.with_suffix(".bin"))
    return path


def run(path: Path, case: Case) -> OpenVINORunner:
    interface = find_target("openvino").make_exporter().interface
    return OpenVINORunner(path, interface, case.preprocessing, "float32", 1)


def kernels(runner: OpenVINORunner) -> set[str]:
    """The kernels that the plugin's convolutions run."""
    notes = (node.get_rt_info() for node in runner.compiled.get_runtime_model().get_ops())
    facts = ({key: str(note[key].value) for key in ("layerType", "primitiveType")} for note in notes)
    return {fact["primitiveType"] for fact in facts if fact["layerType"] in LAYERS}


def test_every_convolution_asks(asking: Path):
    layers = [layer for layer in ElementTree.parse(asking).iterfind(".//layer") if layer.get("type") in LAYERS]
    assert len(layers) > 80
    for layer in layers:
        assert len([entry for entry in layer.iterfind("rt_info/attribute") if entry.get("name") == ATTRIBUTE]) == 1


def test_the_answer_does_not_change(case: Case, asking: Path, silent: Path):
    answers = [run(path, case).predict(case.fitted) for path in (asking, silent)]
    assert np.abs(answers[0] - answers[1]).max() < 1e-5
    assert np.abs(answers[0] - case.expected).max() < 1e-4


def test_on_avx2_the_plugin_takes_them(case: Case, asking: Path, silent: Path):
    """The list is read: without it the plugin's choice is another."""
    taken, own = kernels(run(asking, case)), kernels(run(silent, case))
    if not any("avx2" in name for name in own) or any("avx512" in name for name in own):
        pytest.skip(f"the list changes nothing on this processor, whose kernels are {sorted(own)}")
    assert any(name.startswith("brgconv_avx2") for name in own)
    assert not any(name.startswith("brgconv") for name in taken)
    assert any(name.startswith("jit_avx2_dw") for name in taken)
