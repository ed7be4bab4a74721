"""ONNX Runtime runs MRF-SE blocks and norms over channels through our kernels; what does not fit is refused."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from s2m_edge.deploy.precision import Precision
from s2m_edge.errors import LoweringError
from s2m_edge.native import build_library, find_cmake, find_compiler
from s2m_edge.network.blocks import ChannelLayerNorm, MultiReceptiveField
from s2m_edge.targets.onnx import channel_norm, receptive_field
from s2m_edge.targets.onnx.channel_norm import NodeChannelNorm
from s2m_edge.targets.onnx.export import ONNXExporter
from s2m_edge.targets.onnx.operator_library import SWITCH, kernel_library, register_kernel
from s2m_edge.targets.onnx.receptive_field import CONVOLUTIONS, NodeReceptiveField
from s2m_edge.targets.onnx.run import ONNXRunner
from s2m_edge.targets.onnx.spectral import DOMAIN, DOMAIN_VERSION, OPSET
from s2m_edge.targets.registry import find_target
from s2m_edge.targets.rewrites import fold_batch_norm
from support import ENCODER_STAGES, Case, lowering_request, make_case

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

pytestmark = pytest.mark.skipif(
    find_compiler() is None or find_cmake() is None, reason="no C++ compiler or no CMake: the kernels cannot be built"
)
BLOCKS, NORMS = ENCODER_STAGES, 4 + 2  # of the network: an SSTM with both branches, and one without the spatial
PARTS = [part for name in CONVOLUTIONS for part in (name, f"{name}_bias")]

# Channels, height, width, batch: narrower than a vector, odd, one pixel, rows that end within a panel, whole panels.
SHAPES = [
    (24, 44, 44, 1),
    (5, 7, 3, 2),
    (8, 1, 1, 1),
    (16, 13, 17, 1),
    (3, 2, 40, 1),
    (4, 33, 31, 1),
    (6, 20, 100, 1),
    (2, 64, 5, 1),
    (7, 21, 33, 3),
    (12, 40, 64, 1),
]


def calls(operator: str) -> int:
    library = ctypes.CDLL(str(build_library(kernel_library())))
    count = getattr(library, f"s2m_edge_{operator}_calls")
    count.restype = ctypes.c_uint64
    return count()


def lively_block(channels: int) -> MultiReceptiveField:
    """Weights large enough for ELUs to bend, gates to close and statistics to matter."""
    generator = torch.Generator().manual_seed(channels)
    block = MultiReceptiveField(channels, 6, 0.1).eval()
    means = [buffer for name, buffer in block.named_buffers() if name.endswith("running_mean")]
    for value in [*block.parameters(), *means]:
        value.data.uniform_(-0.4, 0.4, generator=generator)
    return block


def folded_node(block: MultiReceptiveField) -> NodeReceptiveField:
    holder = nn.Sequential(block).eval()
    folded = fold_batch_norm(holder)[0]
    assert isinstance(folded, MultiReceptiveField)
    return NodeReceptiveField(folded)


def arrays_of(node: nn.Module, names: list[str]) -> dict[str, NDArray[np.float32]]:
    return {name: getattr(node, name).numpy() for name in names}


def session_of(
    operator: str,
    arrays: dict[str, NDArray[np.float32]],
    threads: int = 2,
    given: tuple[str, ...] = (),
    **attributes: Any,
) -> Any:
    """A model of one bare node without a function body; `given` are inputs of the model, the other arrays constants."""
    tensor = onnx.TensorProto.FLOAT
    ports = [onnx.helper.make_tensor_value_info("image", tensor, None)]
    ports += [onnx.helper.make_tensor_value_info(name, tensor, arrays[name].shape) for name in given]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node(operator, ["image", *arrays], ["result"], domain=DOMAIN, **attributes)],
        "one node",
        ports,
        [onnx.helper.make_tensor_value_info("result", tensor, None)],
        [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items() if name not in given],
    )
    opsets = [onnx.helper.make_opsetid("", OPSET), onnx.helper.make_opsetid(DOMAIN, DOMAIN_VERSION)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads
    register_kernel(options)
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def block_session(arrays: dict[str, NDArray[np.float32]], threads: int = 2, given: tuple[str, ...] = ()) -> Any:
    return session_of(receptive_field.OPERATOR, arrays, threads, given, width=arrays["expand"].shape[0])


def relative_error(found: NDArray[np.float32], expected: torch.Tensor) -> float:
    wanted = expected.numpy()
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


@pytest.fixture(scope="module")
def case() -> Case:
    return make_case(classes=1, channels=3)


def export(case: Case, folder: Path, precision: Precision = "float32") -> Path:
    request = lowering_request(case.model, precision, "custom", case.preprocessing)
    return ONNXExporter(find_target("onnx")).export(request, folder)


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_the_kernels_take_every_nodes_place_and_without_them_the_bodies_say_the_same(
    case: Case, precision: Precision, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    artifact = export(case, tmp_path, precision)
    runner = ONNXRunner(artifact, ONNXExporter.interface, case.preprocessing, precision, 1)
    bodies = runner.predict(case.fitted)
    monkeypatch.setenv(SWITCH, "1")
    runner = ONNXRunner(artifact, ONNXExporter.interface, case.preprocessing, precision, 1)
    before = calls("receptive_field"), calls("channel_norm")
    kernels = runner.predict(case.fitted)
    assert (calls("receptive_field"), calls("channel_norm")) == (before[0] + BLOCKS, before[1] + NORMS)
    # The spectral filter's kernel has its own cosines, which a body that was stored as float16 rounds.
    np.testing.assert_allclose(kernels, bodies, rtol=0, atol=1e-5 if precision == "float32" else 2e-3)
    np.testing.assert_allclose(kernels, case.expected, rtol=0, atol=1e-5 if precision == "float32" else 2e-2)


@pytest.mark.parametrize(("channels", "height", "width", "batch"), SHAPES)
def test_the_block_is_computed_as_it_is_defined(channels: int, height: int, width: int, batch: int):
    block = lively_block(channels)
    image = torch.randn(batch, channels, height, width, generator=torch.Generator().manual_seed(height))
    arrays = arrays_of(folded_node(block), PARTS)
    with torch.no_grad():
        expected = block.double()(image.double())
    answers = [block_session(arrays, threads).run(None, {"image": image.numpy()})[0] for threads in (1, 3)]
    assert relative_error(answers[0], expected) < 2e-6
    assert np.array_equal(*answers), "threads change nothing, not even a rounding"


def test_one_kernel_serves_maps_of_several_sizes_one_after_the_other():
    block = lively_block(6)
    session = block_session(arrays_of(folded_node(block), PARTS))
    generator = torch.Generator().manual_seed(0)
    images = [torch.randn(1, 6, *size, generator=generator) for size in ((40, 90), (3, 5), (40, 90))]
    with torch.no_grad():
        reference = block.double()
        for image in images:
            found = session.run(None, {"image": image.numpy()})[0]
            assert relative_error(found, reference(image.double())) < 2e-6


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_stays_none(value: float):
    """An answer that is no number is refused by every runner; a kernel that hid it would show an empty mask."""
    image = np.zeros((1, 4, 20, 20), np.float32)
    image[0, 1, 10, 10] = value
    found = block_session(arrays_of(folded_node(lively_block(4)), PARTS)).run(None, {"image": image})[0]
    assert np.isnan(found[0, :, 10, 10]).all()
    arrays = {"weight": np.ones(4, np.float32), "bias": np.zeros(4, np.float32)}
    normed = session_of(channel_norm.OPERATOR, arrays, epsilon=1e-6).run(None, {"image": image})[0]
    assert np.isnan(normed[0, :, 10, 10]).any()
    assert np.isfinite(normed[0, :, 0, 0]).all()


def test_values_far_from_zero_saturate_and_do_not_overflow():
    block = lively_block(4)
    image = torch.full((1, 4, 12, 12), 300.0)
    image[:, :2] = -300.0
    arrays = arrays_of(folded_node(block), PARTS)
    found = block_session(arrays).run(None, {"image": image.numpy()})[0]
    with torch.no_grad():
        assert relative_error(found, block.double()(image.double())) < 2e-6


@pytest.mark.parametrize(("channels", "height", "width", "batch"), SHAPES)
def test_the_norm_is_computed_as_it_is_defined(channels: int, height: int, width: int, batch: int):
    generator = torch.Generator().manual_seed(width)
    norm = ChannelLayerNorm(channels, 1e-6)
    norm.weight.data.normal_(generator=generator)
    norm.bias.data.normal_(generator=generator)
    image = torch.randn(batch, channels, height, width, generator=generator) + 3.0
    arrays = arrays_of(NodeChannelNorm(norm), ["weight", "bias"])
    found = session_of(channel_norm.OPERATOR, arrays, epsilon=1e-6).run(None, {"image": image.numpy()})[0]
    with torch.no_grad():
        expected = norm.double()(image.double())
    assert relative_error(found, expected) < 2e-5


def test_a_block_with_weights_that_are_not_constant_is_refused():
    arrays = arrays_of(folded_node(lively_block(4)), PARTS)
    with pytest.raises(Exception, match="takes constant weights"):
        block_session(arrays, given=("fuse",))


@pytest.mark.parametrize("name", ["branch_5", "fuse", "widen_bias", "project"])
def test_weights_that_do_not_fit_each_other_are_refused_and_not_read(name: str):
    arrays = arrays_of(folded_node(lively_block(4)), PARTS)
    arrays[name] = arrays[name][:1]
    with pytest.raises(Exception, match="do not fit each other"):
        block_session(arrays)


def test_a_picture_with_other_channels_is_refused():
    session = block_session(arrays_of(folded_node(lively_block(4)), PARTS))
    with pytest.raises(Exception, match="its weights' C"):
        session.run(None, {"image": np.zeros((1, 3, 8, 8), np.float32)})
    arrays = {"weight": np.ones(4, np.float32), "bias": np.zeros(3, np.float32)}
    with pytest.raises(Exception, match="weight and bias of C"):
        session_of(channel_norm.OPERATOR, arrays, epsilon=1e-6).run(None, {"image": np.zeros((1, 4, 8, 8), np.float32)})


def test_a_block_whose_norms_are_not_folded_is_no_node():
    with pytest.raises(LoweringError, match="BatchNorm that is not folded"):
        NodeReceptiveField(lively_block(4))
