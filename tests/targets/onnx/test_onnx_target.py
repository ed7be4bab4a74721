"""What is particular to the ONNX target: both lowerings, the function body, half-precision storage, damaged files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from s2m_edge.deploy.precision import Precision, SpectralLowering
from s2m_edge.errors import S2MEdgeError
from s2m_edge.imaging.preprocess import normalise
from s2m_edge.targets.base import Runner
from s2m_edge.targets.registry import find_target
from support import ENCODER_STAGES, SPECTRAL_STAGES, Case, lowering_request, make_case, remarks

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

SIZE = 96
METADATA = {"name": "S2M-Net é", "notice": 'Research use only: "not" a <device>\n& so on'}


def export(case: Case, folder: Path, spectral: SpectralLowering, precision: Precision = "float32") -> Path:
    exporter = find_target("onnx").make_exporter()
    return exporter.export(lowering_request(case.model, precision, spectral, case.preprocessing, METADATA), folder)


def run(path: Path, case: Case, threads: int | None = 2) -> Runner:
    target = find_target("onnx")
    interface = target.make_exporter().interface
    return target.runner_class()(path, interface, case.preprocessing, "float32", threads)


@pytest.fixture(scope="module")
def binary() -> Case:
    return make_case(classes=1, channels=3)


@pytest.fixture(scope="module")
def grey() -> Case:
    return make_case(classes=3, channels=1)


@pytest.fixture(scope="module")
def matmul(binary: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(binary, tmp_path_factory.mktemp("matmul"), "matmul")


@pytest.fixture(scope="module")
def custom(binary: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(binary, tmp_path_factory.mktemp("custom"), "custom")


@pytest.fixture(scope="module")
def halved(binary: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(binary, tmp_path_factory.mktemp("halved"), "custom", "float16")


def test_both_lowerings_equal_eager(binary: Case, matmul: Path, custom: Path) -> None:
    from_matmul, from_custom = (run(path, binary).predict(binary.fitted) for path in (matmul, custom))
    assert from_matmul.shape == binary.expected.shape
    assert from_matmul.dtype == np.float32
    np.testing.assert_allclose(from_matmul, binary.expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(from_custom, binary.expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(from_custom, from_matmul, rtol=0, atol=1e-5)


@pytest.mark.parametrize("spectral", ["matmul", "custom"])
def test_three_classes_of_a_grey_picture(grey: Case, tmp_path: Path, spectral: SpectralLowering) -> None:
    found = run(export(grey, tmp_path, spectral), grey).predict(grey.fitted)
    assert found.shape == (3, SIZE, SIZE)
    np.testing.assert_allclose(found, grey.expected, rtol=0, atol=1e-5)


def test_matmul_has_standard_operators_only(matmul: Path) -> None:
    model = onnx.load(matmul)
    assert {node.domain for node in model.graph.node} == {""}
    assert not model.functions
    assert {(entry.domain, entry.version) for entry in model.opset_import} == {("", 20)}


def test_custom_keeps_nodes_of_our_own_each_with_a_function_of_standard_operators(matmul: Path, custom: Path) -> None:
    model = onnx.load(custom)
    nodes = Counter((node.domain, node.op_type) for node in model.graph.node)
    own = {name: count for (domain, name), count in nodes.items() if domain == "s2m_edge"}
    # Of two SSTMs: four norms of the one with both branches, two of the other.
    assert own == {"SpectralFilter": len(SPECTRAL_STAGES), "ReceptiveField": ENCODER_STAGES, "ChannelNorm": 4 + 2}
    assert sum(nodes.values()) - sum(count for (domain, _), count in nodes.items() if not domain) == sum(own.values())
    assert nodes["", "MatMul"] == 0
    assert {(function.domain, function.name) for function in model.functions} == {("s2m_edge", name) for name in own}
    assert {node.domain for function in model.functions for node in function.node} == {""}
    # P and Q instead of the whole gains; the trained filter itself is in neither file.
    assert custom.stat().st_size < matmul.stat().st_size
    assert not [entry.name for entry in model.graph.initializer if entry.name.endswith("filter")]


def test_files_are_whole_valid_and_self_contained(matmul: Path, custom: Path, halved: Path) -> None:
    for path in (matmul, custom, halved):
        assert [entry.name for entry in path.parent.iterdir()] == ["s2mnet.onnx"]
        model = onnx.load(path, load_external_data=False)
        onnx.checker.check_model(model, full_check=True)
        assert not [entry.name for entry in model.graph.initializer if entry.external_data]
        ports = (model.graph.input, model.graph.output)
        shapes = [[dim.dim_value for dim in port[0].type.tensor_type.shape.dim] for port in ports]
        assert shapes == [[1, 3, SIZE, SIZE], [1, 1, SIZE, SIZE]]
        assert [port[0].name for port in ports] == ["image", "probabilities"]


def test_metadata_survives_and_no_path_of_this_machine_is_inside(custom: Path) -> None:
    session = onnxruntime.InferenceSession(custom, providers=["CPUExecutionProvider"])
    assert session.get_modelmeta().custom_metadata_map == METADATA
    content = custom.read_bytes()
    assert b"stack_trace" not in content
    assert str(Path(__file__).parents[3]).encode() not in content


def test_float16_halves_the_file_and_keeps_the_answer(binary: Case, custom: Path, halved: Path) -> None:
    ratio = halved.stat().st_size / custom.stat().st_size
    assert 0.49 < ratio < 0.53
    model = onnx.load(halved)
    initializers = {entry.name: entry for entry in model.graph.initializer}
    large = [entry for entry in initializers.values() if np.prod(entry.dims) >= 1024]
    assert large
    assert {entry.data_type for entry in large} == {onnx.TensorProto.FLOAT16}
    casts = [node for node in model.graph.node if node.op_type == "Cast"]
    assert {node.input[0] for node in casts} == {entry.name for entry in large}
    error = np.abs(run(halved, binary).predict(binary.fitted) - binary.expected).max()
    assert 1e-6 < error < 2e-2


def test_values_beyond_float16_stay_float32() -> None:
    from s2m_edge.targets.onnx.compress import store_weights_as_float16

    wide, narrow = np.full(2048, 1e6, np.float32), np.full(2048, 0.1, np.float32)
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Add", ["wide", "narrow"], ["sum"])],
        "sums",
        [],
        [onnx.helper.make_tensor_value_info("sum", onnx.TensorProto.FLOAT, [2048])],
        [onnx.numpy_helper.from_array(wide, "wide"), onnx.numpy_helper.from_array(narrow, "narrow")],
    )
    opsets = [onnx.helper.make_opsetid("", 20)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10)
    assert store_weights_as_float16(model) == 1
    onnx.checker.check_model(model, full_check=True)
    found = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {})[0]
    np.testing.assert_array_equal(found, wide + narrow.astype(np.float16).astype(np.float32))


def test_export_leaves_the_network_alone_and_the_console_quiet(
    binary: Case, tmp_path: Path, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    before = {name: value.clone() for name, value in binary.model.state_dict().items()}
    export(binary, tmp_path, "custom")
    assert "".join(capfd.readouterr()) == ""
    assert remarks(recwarn) == []
    after = binary.model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)


@pytest.mark.parametrize("kept", [0, 1, 1000, 0.5, -1, -60, -1000])
def test_a_truncated_file_is_refused(
    binary: Case, custom: Path, tmp_path: Path, kept: float, capfd: pytest.CaptureFixture[str]
) -> None:
    content = custom.read_bytes()
    damaged = tmp_path / "s2mnet.onnx"
    damaged.write_bytes(content[: int(kept * len(content)) if isinstance(kept, float) else kept])
    with pytest.raises(S2MEdgeError, match=r"s2mnet\.onnx cannot be loaded .* Export it again"):
        run(damaged, binary)
    assert "".join(capfd.readouterr()) == ""


def test_foreign_and_missing_files_are_refused(binary: Case, grey: Case, custom: Path, tmp_path: Path) -> None:
    with pytest.raises(S2MEdgeError, match="is missing"):
        run(tmp_path / "s2mnet.onnx", binary)
    garbage = tmp_path / "garbage.onnx"
    garbage.write_bytes(np.random.default_rng(0).bytes(5000))
    with pytest.raises(S2MEdgeError, match="cannot be loaded"):
        run(garbage, binary)
    with pytest.raises(S2MEdgeError, match=r"\[1, 3, 96, 96\], the contract says float \[1, 1, 96, 96\]"):
        run(custom, grey)


def test_a_function_without_body_is_refused(binary: Case, custom: Path, tmp_path: Path) -> None:
    model = onnx.load(custom)
    del model.functions[:]
    onnx.save(model, tmp_path / "s2mnet.onnx")
    with pytest.raises(S2MEdgeError, match=r"s2m_edge:(SpectralFilter|ReceptiveField|ChannelNorm)"):
        run(tmp_path / "s2mnet.onnx", binary)


def test_a_picture_of_the_wrong_kind_is_refused(binary: Case, matmul: Path) -> None:
    runner = run(matmul, binary, threads=None)
    assert "CPUExecutionProvider" in runner.device
    for wrong in (binary.fitted[:64], binary.fitted[..., :1], binary.fitted.astype(np.float32)):
        with pytest.raises(S2MEdgeError, match="not uint8"):
            runner.predict(wrong)  # type: ignore[arg-type]


def test_openvino_reads_the_standard_file(binary: Case, matmul: Path) -> None:
    if find_target("openvino").version() is None:
        pytest.skip("openvino is not installed")
    from s2m_edge.targets.openvino.backend import import_openvino

    compiled = import_openvino().compile_model(matmul, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = compiled(normalise(binary.fitted, binary.preprocessing))[0]
    np.testing.assert_allclose(found[0], binary.expected, rtol=0, atol=1e-5)
