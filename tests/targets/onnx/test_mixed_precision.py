"""ONNX that computes in float16: what stays in float32, what the CPU's figures are of, and what overflows."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from s2m_edge.deploy.precision import PRECISION_ROWS
from s2m_edge.deploy.spec import NetworkSpec
from s2m_edge.errors import ParityError
from s2m_edge.imaging.classes import default_classes
from s2m_edge.targets.export import export_bundle
from s2m_edge.targets.registry import find_target
from support import NARROW, Case, lowering_request, make_case

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

HALF, SINGLE = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
SIZE = 64


@pytest.fixture(scope="module")
def case() -> Case:
    return make_case(classes=1, channels=3, **NARROW)


@pytest.fixture(scope="module")
def artifact(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    request = lowering_request(case.model, "float16-mixed", "matmul", case.preprocessing)
    return find_target("onnx").make_exporter().export(request, tmp_path_factory.mktemp("mixed"))


def typed_nodes(path: Path) -> list[tuple[str, str, int]]:
    """Name, operator and type of the result of every node but the casts."""
    model = onnx.shape_inference.infer_shapes(onnx.load(path), strict_mode=True)
    types = {entry.name: entry.type.tensor_type.elem_type for entry in [*model.graph.value_info, *model.graph.output]}
    return [(node.name, node.op_type, types[node.output[0]]) for node in model.graph.node if node.op_type != "Cast"]


def test_the_artifact_is_valid_takes_and_gives_float32_and_is_half_as_large(case: Case, artifact: Path) -> None:
    model = onnx.load(artifact)
    onnx.checker.check_model(model, full_check=True)
    assert {port.type.tensor_type.elem_type for port in [*model.graph.input, *model.graph.output]} == {SINGLE}
    large = [entry for entry in model.graph.initializer if np.prod(entry.dims) >= 1024]
    assert {entry.data_type for entry in large} == {HALF}


def test_sums_of_maps_picture_and_logits_stay_in_float32_and_nothing_else(artifact: Path) -> None:
    nodes = typed_nodes(artifact)
    exact = [(name, operator) for name, operator, kind in nodes if kind == SINGLE]
    convolutions = [name for name, operator in exact if operator == "Conv"]
    assert [name.split("/")[0] for name in convolutions] == ["network.stem.0", "network.head.5"]
    assert all(kind == SINGLE for _, operator, kind in nodes if operator in ("LayerNormalization", "ReduceMean"))
    assert nodes[-1][1:] == ("Sigmoid", SINGLE)
    rest = {name for name, operator in exact if operator not in ("Conv", "ReduceMean", "LayerNormalization", "Sigmoid")}
    assert rest
    assert all(".spectral" in name for name in rest)
    assert all(kind == SINGLE for name, _, kind in nodes if ".spectral" in name)
    assert Counter(kind for _, operator, kind in nodes if operator == "Conv")[HALF] > 50


def test_nothing_goes_through_float16_between_two_nodes_in_float32(artifact: Path) -> None:
    model = onnx.load(artifact)
    narrowed = {node.output[0] for node in model.graph.node if node.op_type == "Cast" and node.attribute[0].i == HALF}
    widened = {node.input[0] for node in model.graph.node if node.op_type == "Cast" and node.attribute[0].i == SINGLE}
    assert narrowed
    assert widened
    assert narrowed.isdisjoint(widened)


def test_the_runner_rounds_where_the_cpu_provider_by_itself_would_not(case: Case, artifact: Path) -> None:
    from s2m_edge.imaging.preprocess import normalise

    target = find_target("onnx")
    interface = target.make_exporter().interface
    runner = target.runner_class()(artifact, interface, case.preprocessing, "float16-mixed", 2)
    assert runner.verdict == "converted, not executed"
    assert "rounded" in runner.remark
    rounded = np.abs(runner.predict(case.fitted) - case.expected).mean()
    session = onnxruntime.InferenceSession(artifact, providers=["CPUExecutionProvider"])
    plain: Any = session.run(None, {"image": normalise(case.fitted, case.preprocessing)})[0]
    unrounded = np.abs(plain[0] - case.expected).mean()
    assert unrounded < rounded < PRECISION_ROWS["float16-mixed"].gate.mean_probability_error  # type: ignore[operator]


@pytest.mark.parametrize("scale", [2.0, 3e4])
def test_rounding_is_that_of_numpy_and_what_lies_beyond_float16_is_infinite(scale: float) -> None:
    from s2m_edge.targets.onnx.rounded import rounded_in_float32

    make = onnx.helper.make_node
    nodes = [
        make("Cast", ["x"], ["half"], to=HALF),
        make("Mul", ["half", "scale"], ["large"]),
        make("Mul", ["large", "back"], ["small"]),
        make("Cast", ["small"], ["y"], to=SINGLE),
    ]
    ports = [onnx.helper.make_tensor_value_info(name, SINGLE, [64]) for name in "xy"]
    constants = {"scale": np.float16(scale), "back": np.float16(1 / scale)}
    initializers = [onnx.numpy_helper.from_array(np.array(value), name) for name, value in constants.items()]
    graph = onnx.helper.make_graph(nodes, "g", ports[:1], ports[1:], initializers)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)
    x = np.linspace(1, 6, 64, dtype=np.float32)
    with np.errstate(over="ignore"):
        expected = (x.astype(np.float16) * constants["scale"]) * constants["back"]
    assert np.isinf(expected).any() == (scale > 2)
    found: Any = onnxruntime.InferenceSession(rounded_in_float32(model).SerializeToString()).run(None, {"x": x})[0]
    np.testing.assert_array_equal(found, expected.astype(np.float32))


class Amplified(nn.Module):
    """Finds what is bright; an inner map is `gain` times as large as it has to be."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.first, self.inner, self.last = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 1, 1)
        generator = torch.Generator().manual_seed(0)
        for layer in (self.first, self.inner, self.last):
            layer.weight.data = torch.randn(layer.weight.shape, generator=generator) * 0.5
        self.gain = gain

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        inner = torch.relu(self.inner(torch.relu(self.first(image)) * self.gain)) / self.gain
        return 10.0 * (image.mean(dim=1, keepdim=True) - 0.4) + 0.1 * self.last(inner)


def test_an_activation_that_overflows_float16_breaches_the_gate_by_name(polyp_images: list[Path], tmp_path: Path):
    spec = NetworkSpec("amplified", SIZE, SIZE, 3, default_classes(1), "sigmoid")
    arguments: dict[str, Any] = {"precision": "float16-mixed", "images": polyp_images[:2]}
    export_bundle(find_target("onnx"), Amplified(8.0).eval(), spec, out=tmp_path / "tame", **arguments)
    with pytest.raises(ParityError, match=r"float16-mixed.*\.(jpg|png): .*nan"):
        export_bundle(find_target("onnx"), Amplified(1e6).eval(), spec, out=tmp_path / "wild", **arguments)
    assert not (tmp_path / "wild").exists()
    assert (tmp_path / "wild.failed").is_dir()


def test_weights_beyond_float16_are_not_cut_off(tmp_path: Path) -> None:
    from s2m_edge.targets.onnx.mixed_precision import compute_in_float16

    make = onnx.helper.make_node
    weights = {"w1": np.full((1, 1, 1, 1), 1.0, np.float32), "huge": np.array(1e6, np.float32)}
    weights |= {"small": np.array(1e-6, np.float32), "w2": np.ones((1, 1, 1, 1), np.float32)}
    nodes = [
        make("Conv", ["x", "w1"], ["a"], name="first"),
        make("Mul", ["a", "huge"], ["b"], name="up"),
        make("Mul", ["b", "small"], ["c"], name="down"),
        make("Relu", ["c"], ["d"], name="relu"),
        make("Conv", ["d", "w2"], ["y"], name="last"),
    ]
    ports = [onnx.helper.make_tensor_value_info(name, SINGLE, [1, 1, 2, 2]) for name in "xy"]
    initializers = [onnx.numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = onnx.helper.make_graph(nodes, "g", ports[:1], ports[1:], initializers)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)
    converted = compute_in_float16(model, ())
    kept = {entry.name: onnx.numpy_helper.to_array(entry) for entry in converted.graph.initializer}
    assert (kept["huge"].dtype, float(kept["huge"])) == (np.float32, 1e6)
    onnx.checker.check_model(converted, full_check=True)
