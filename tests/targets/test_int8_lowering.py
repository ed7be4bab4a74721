"""int8 means integer kernels: what the backends make of the one quantized graph, seen in what they execute."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from s2m_edge.checkpoint import load_model
from s2m_edge.deploy.bundle import open_bundle
from s2m_edge.errors import CapabilityError
from s2m_edge.network.fake_quantized.layers import quantized_convolutions
from s2m_edge.targets.opening import open_runner
from s2m_edge.targets.openvino.run import OpenVINORunner
from s2m_edge.targets.registry import TARGETS, find_target
from support import QUANTIZED_CONVOLUTIONS, lowering_request


@pytest.fixture(scope="module")
def convolutions(small_models) -> int:
    """Quantized convolutions of the network: all but the first two and the last, and those of squeeze-excitation, SSTM
    and boundary maps."""
    count = sum(layer.enabled for _, layer in quantized_convolutions(small_models[True]))
    assert count == QUANTIZED_CONVOLUTIONS
    return count


def test_openvino_executes_every_quantized_convolution_in_eight_bits(exported, convolutions):
    runner = open_runner(open_bundle(exported(find_target("openvino"), "int8", "matmul").folder))
    assert isinstance(runner, OpenVINORunner)
    kinds = Counter()
    for node in runner.compiled.get_runtime_model().get_ops():
        facts = node.get_rt_info()
        if str(facts["layerType"].value) == "Convolution":
            kinds[str(facts["runtimePrecision"].value)] += 1
    assert kinds["u8"] + kinds["i8"] == convolutions


def test_onnx_runtime_fuses_every_quantized_convolution_into_an_integer_one(exported, convolutions, tmp_path: Path):
    import onnx
    import onnxruntime

    artifact = open_bundle(exported(find_target("onnx"), "int8", "matmul").folder).artifact
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    onnxruntime.InferenceSession(artifact, options, providers=["CPUExecutionProvider"])
    optimized = onnx.load(tmp_path / "optimized.onnx")
    assert Counter(node.op_type for node in optimized.graph.node)["QLinearConv"] == convolutions


def test_executorch_delegates_the_whole_int8_network_at_once(exported):
    from s2m_edge.targets.executorch.program import read_contents

    contents = read_contents(open_bundle(exported(find_target("executorch"), "int8", "matmul").folder).artifact)
    assert contents.delegates == 1
    assert contents.operators == {}


def test_core_ml_stores_int8_weights_and_rounds_activations(exported, convolutions):
    runner = open_runner(open_bundle(exported(find_target("coreml"), "int8", "matmul").folder))
    kinds = runner.observations()["operation_kinds"]
    assert kinds["constexpr_affine_dequantize"] == convolutions
    assert kinds["quantize"] > 1.5 * convolutions
    assert runner.observations()["subnormal_epsilons"] == 0


@pytest.mark.parametrize(
    "target", [target for target in TARGETS if "int8" in target.precisions], ids=lambda target: target.name
)
def test_int8_is_smaller_and_every_target_gives_nearly_the_fake_quantized_answer(exported, target):
    whole, small = exported(target, "float32", "matmul"), exported(target, "int8", "matmul")
    assert small.artifact_bytes < 0.45 * whole.artifact_bytes
    assert small.parity.to_dict()["summary"]["mean_probability_error"] < 0.01


def test_a_float_network_is_no_int8_and_the_other_way_round(small_models, tmp_path):
    exporter = find_target("onnx").make_exporter()
    with pytest.raises(CapabilityError, match="s2m-edge quantize"):
        exporter.export(lowering_request(small_models[False], "int8"), tmp_path)
    with pytest.raises(CapabilityError, match="--precision int8"):
        exporter.export(lowering_request(small_models[True]), tmp_path)


def test_the_graph_handed_to_backends_computes_what_the_fake_quantized_network_does(small_quantized_checkpoint):
    from s2m_edge.network.fake_quantized.lower import with_integer_operations

    network = load_model(small_quantized_checkpoint)
    image = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(5))
    with torch.inference_mode():
        expected = network(image).numpy()
        assert np.allclose(with_integer_operations(network)(image).numpy(), expected, atol=1e-5)
        assert np.allclose(with_integer_operations(network, "multiply")(image).numpy(), expected, atol=1e-5)


def test_the_compact_spectral_branch_is_the_filter(small_models):
    from s2m_edge.network.blocks import SpectralBranch
    from s2m_edge.targets.rewrites.compact_spectral import CompactSpectralBranch

    branches = [module for module in small_models[False].modules() if isinstance(module, SpectralBranch)]
    generator = torch.Generator().manual_seed(2)
    for branch, length in zip(branches, (48, 6), strict=True):
        x = torch.randn(2, branch.filter.shape[0], length, length, generator=generator)
        with torch.inference_mode():
            assert torch.allclose(CompactSpectralBranch(branch, length, length)(x), branch(x), atol=1e-4)
