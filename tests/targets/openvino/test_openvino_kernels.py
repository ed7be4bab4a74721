"""Kernels are chosen where a model is loaded, from what the processor has: the file asks for none, no answer moves."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from s2m_edge.processor import FEATURES, processor_features
from s2m_edge.targets.openvino import run as openvino_run
from s2m_edge.targets.openvino.backend import import_openvino
from s2m_edge.targets.openvino.branch_sum import sum_branches
from s2m_edge.targets.openvino.kernel_choice import (
    ATTRIBUTE,
    CHOICES,
    LAYERS,
    LIMIT,
    UNKNOWN,
    Choice,
    ask_for,
    choice_for,
    features_in_use,
)
from s2m_edge.targets.openvino.run import OpenVINORunner
from s2m_edge.targets.registry import find_target
from support import ENCODER_STAGES, Case, lowering_request, make_case

if find_target("openvino").version() is None:
    pytest.skip("openvino is not installed", allow_module_level=True)

BLOCKED = choice_for({"avx2"})


@pytest.fixture(scope="module")
def case() -> Case:
    return make_case(classes=1, channels=3)


@pytest.fixture(scope="module")
def exported(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    exporter = find_target("openvino").make_exporter()
    request = lowering_request(case.model, "float32", "matmul", case.preprocessing)
    return exporter.export(request, tmp_path_factory.mktemp("exported"))


def opened(path: Path, case: Case, choice: Choice, monkeypatch: pytest.MonkeyPatch) -> OpenVINORunner:
    """A runner that runs the model so, whatever processor this is."""
    monkeypatch.setattr(openvino_run, "choice_for", lambda features: choice)
    interface = find_target("openvino").make_exporter().interface
    return OpenVINORunner(path, interface, case.preprocessing, "float32", 1)


def kernels_of(runner: OpenVINORunner) -> set[str]:
    """The kernels that the plugin's convolutions run."""
    notes = (node.get_rt_info() for node in runner.compiled.get_runtime_model().get_ops())
    facts = ({key: str(note[key].value) for key in ("layerType", "primitiveType")} for note in notes)
    return {fact["primitiveType"] for fact in facts if fact["layerType"] in LAYERS}


def lists_in(network: ElementTree.Element) -> list[str]:
    layers = [layer for layer in network.iterfind(".//layer") if layer.get("type") in LAYERS]
    assert len(layers) > 15 * ENCODER_STAGES
    notes = [entry for layer in layers for entry in layer.iterfind("rt_info/attribute")]
    return [entry.get("value", "") for entry in notes if entry.get("name") == ATTRIBUTE]


def test_the_file_prefers_no_processor(exported: Path):
    assert lists_in(ElementTree.parse(exported).getroot()) == []


def test_every_convolution_asks_once_for_the_same(exported: Path):
    network = ElementTree.parse(exported).getroot()
    ask_for(network, ("jit_sse41",))
    ask_for(network, BLOCKED.kernels)
    found = lists_in(network)
    assert set(found) == {",".join(f"cpu:{name}" for name in BLOCKED.kernels)}
    assert len(found) == sum(layer.get("type") in LAYERS for layer in network.iterfind(".//layer"))


def test_a_list_in_an_older_file_is_dropped(exported: Path):
    network = ElementTree.parse(exported).getroot()
    ask_for(network, BLOCKED.kernels)
    ask_for(network, ())
    assert lists_in(network) == []


def test_the_newest_instruction_set_decides():
    assert all(choice.feature in FEATURES and choice.measured for choice in CHOICES)
    assert choice_for({"avx2", "avx512f"}) is choice_for({"avx512f"})
    assert choice_for({"avx512f"}) != choice_for({"avx2"})
    assert choice_for({"asimd"}) is choice_for(frozenset()) is UNKNOWN


@pytest.mark.parametrize(("limit", "held_back"), [("AVX2", True), ("avx2_vnni", True), ("SSE41", True), ("ALL", False)])
def test_a_limit_of_the_environment_counts(limit: str, held_back: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(LIMIT, limit)
    newer = {name for name in processor_features() if name.startswith(("avx512", "amx"))}
    assert features_in_use() == processor_features() - (newer if held_back else set())


@pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: choice.feature)
def test_the_answer_does_not_change(case: Case, exported: Path, choice: Choice, monkeypatch: pytest.MonkeyPatch):
    own = opened(exported, case, UNKNOWN, monkeypatch).predict(case.fitted)
    answer = opened(exported, case, choice, monkeypatch).predict(case.fitted)
    assert np.abs(answer - own).max() < 1e-5
    assert np.abs(own - case.expected).max() < 1e-4


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_sums_replace_every_concatenation_before_a_pointwise_convolution(case: Case, tmp_path: Path, precision):
    request = lowering_request(case.model, precision, "matmul", case.preprocessing)
    path = find_target("openvino").make_exporter().export(request, tmp_path)
    model = import_openvino().Core().read_model(path)
    # The fusion of each MRF-SE block, and of the SSTM block with two branches.
    assert sum_branches(model) == ENCODER_STAGES + 1
    assert sum_branches(model) == 0


def test_a_concatenation_that_others_read_stays():
    from openvino import opset13

    model_of: Any = import_openvino().Model
    left, right = (opset13.parameter([1, 2, 4, 4], np.float32) for _ in range(2))
    joined = opset13.concat([left, right], 1)
    weights = opset13.constant(np.ones((3, 4, 1, 1), np.float32))
    read = opset13.convolution(joined, weights, [1, 1], [0, 0], [0, 0], [1, 1])
    assert sum_branches(model_of([read, opset13.relu(joined)], [left, right])) == 0
    strided = opset13.convolution(opset13.concat([left, right], 1), weights, [2, 2], [0, 0], [0, 0], [1, 1])
    assert sum_branches(model_of([strided], [left, right])) == 0
    alone = opset13.convolution(opset13.concat([left, right], 1), weights, [1, 1], [0, 0], [0, 0], [1, 1])
    assert sum_branches(model_of([alone], [left, right])) == 1


def test_the_plugin_takes_what_it_is_asked_for(case: Case, exported: Path, monkeypatch: pytest.MonkeyPatch):
    own = kernels_of(opened(exported, case, UNKNOWN, monkeypatch))
    if "avx2" not in processor_features():
        pytest.skip(f"the kernels asked for are of AVX2, and this processor has {sorted(processor_features())}")
    taken = kernels_of(opened(exported, case, BLOCKED, monkeypatch))
    assert any(name.startswith("brgconv_") for name in own)
    assert any(name.startswith("jit_avx2") for name in taken)
    assert not any(name.startswith("brgconv") for name in taken)


def test_an_integer_network_is_left_alone(case: Case, exported: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(openvino_run, "choice_for", lambda features: BLOCKED)
    interface = find_target("openvino").make_exporter().interface
    runner = OpenVINORunner(exported, interface, case.preprocessing, "int8", 1)
    assert any(name.startswith("brgconv_") for name in kernels_of(runner))
