"""The fake-quantized network: exact when nothing is rounded, 256 levels when it is, one file that brings it back."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from s2m_edge.checkpoint import load_model, read_header, record_provenance
from s2m_edge.errors import CheckpointError, ConfigurationError
from s2m_edge.network.config import S2MNetConfig
from s2m_edge.network.fake_quantized import (
    ActivationQuantizer,
    QuantizationConfig,
    QuantizedConv2d,
    activation_quantizers,
    is_quantized,
    quantized_network,
)
from s2m_edge.network.fake_quantized.config import block_names
from s2m_edge.network.fake_quantized.layers import quantized_convolutions
from s2m_edge.network.fake_quantized.lower import with_integer_operations
from s2m_edge.network.fake_quantized.network import block_of, set_blocks
from s2m_edge.network.model import S2MNet
from support import ENCODER_STAGES, WHOLE, lively_network

IMAGE = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("float_blocks", [QuantizationConfig().float_blocks, ()])
def test_with_every_quantizer_off_it_is_the_float_network(small_model, float_blocks):
    network = quantized_network(small_model, QuantizationConfig(float_blocks=float_blocks))
    set_blocks(network, set())
    with torch.inference_mode():
        assert torch.allclose(network(IMAGE), small_model(IMAGE), atol=1e-4)
        for ours, theirs in zip(
            network.forward_with_features(IMAGE).boundaries,
            small_model.forward_with_features(IMAGE).boundaries,
            strict=True,
        ):
            assert torch.allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize("layout", ["paper", "released", "without_sstm"])
def test_several_classes_grey_pictures_and_every_layout_are_quantized_alike(layout):
    torch.manual_seed(0)
    model = S2MNet(S2MNetConfig.preset(layout, size=96, classes=4, in_channels=1)).eval()
    network = quantized_network(model)
    for _, quantizer in activation_quantizers(network):
        if quantizer.fixed is None:
            quantizer.set_range(-6.0, 6.0)
    with torch.inference_mode():
        rounded, whole = network(IMAGE[:, :1]), model(IMAGE[:, :1])
    assert rounded.shape == (1, 4, 96, 96)
    assert 0 < (rounded - whole).abs().mean() < 0.5


def test_no_tensor_is_rounded_twice_in_a_row(small_model):
    """A second scale would cost accuracy, and there are converters that refuse it. Here three stages have no mixer."""
    network = quantized_network(small_model)
    for _, quantizer in activation_quantizers(network):
        if quantizer.fixed is None:
            quantizer.set_range(-6.0, 6.0 + torch.rand(1).item())
    lowered = torch.export.export(with_integer_operations(network), (IMAGE,))
    operations = torch.ops.quantized_decomposed
    rounded = [node for node in lowered.graph.nodes if node.target is operations.quantize_per_tensor.default]
    assert len(rounded) > 20 * ENCODER_STAGES
    for node in rounded:
        before = node.args[0]
        if before.target is operations.dequantize_per_tensor.default:
            assert before.args[1:] == node.args[1:]


def test_a_quantizer_gives_at_most_256_levels_zero_among_them_and_passes_gradients():
    quantizer = ActivationQuantizer()
    quantizer.set_range(0.5, 3.0)  # widened to 0
    x = torch.linspace(-1.0, 4.0, 5001, requires_grad=True)
    y = quantizer(x)
    assert y.unique().numel() == 256
    assert 0.0 in y
    assert (y - x)[(x > 0) & (x < 3)].abs().max() <= 3.0 / 255 / 2 + 1e-6
    y.sum().backward()
    assert x.grad is not None
    assert x.grad[(x > 0.01) & (x < 2.99)].min() == 1.0
    assert x.grad[x > 3.1].max() == 0.0


def test_a_picture_of_eight_bits_is_not_rounded(small_model):
    first = quantized_network(small_model, QuantizationConfig(float_blocks=())).stem[0]
    assert first.mode == "quantize"
    levels = torch.arange(256) / 255.0
    assert torch.allclose(first(levels), levels, atol=1e-6)


def test_weights_are_whole_multiples_of_one_scale_per_channel_within_the_limit():
    convolution = torch.nn.Conv2d(4, 6, 3)
    layer = QuantizedConv2d(convolution, 63).eval()
    integers = layer.integers()
    assert integers.dtype == torch.int8
    assert integers.abs().amax(dim=(1, 2, 3)).tolist() == [63] * 6
    rounded = integers.float() * layer.weight_scale[:, None, None, None]
    assert torch.allclose(rounded, layer.rounded_weight())
    assert (rounded - convolution.weight).abs().max() <= layer.weight_scale.max() / 2 + 1e-7
    layer.train()
    with torch.no_grad():
        layer.weight.mul_(3.0)
    layer.eval()  # the scales follow
    assert layer.integers().abs().amax() == 63


def test_the_default_leaves_sstm_and_the_first_and_last_convolutions_in_float():
    network = quantized_network(lively_network(**WHOLE))
    names = [name for name, layer in quantized_convolutions(network) if layer.enabled]
    assert not [name for name in names if ".mixer.mixer." in name]
    assert not [name for name in names if name.startswith(("stem", "encoder.0.down"))]
    assert [name for name in names if name.startswith(("encoder.0.receptive", "encoder.1.down"))]
    assert isinstance(network.head[-1], torch.nn.Conv2d)
    assert not isinstance(network.head[-1], QuantizedConv2d)
    blocks = {block_of(name) for name, entry in activation_quantizers(network) if entry.mode == "quantize"}
    assert blocks == {name for name in block_names() if QuantizationConfig().quantizes(name)}


def test_what_rounds_the_result_of_a_strided_convolution_belongs_to_the_block_that_takes_it(small_model):
    paths = [name for name, _ in activation_quantizers(quantized_network(small_model))]
    assert [block_of(path) for path in paths if path.startswith("stem")] == ["stem", "stem", "encoder.0.down"]
    for stage in range(ENCODER_STAGES):
        found = [block_of(path) for path in paths if path.startswith(f"encoder.{stage}.down")]
        assert found == [f"encoder.{stage}.down", f"encoder.{stage}.receptive"]


def test_a_learned_range_rounds_alike_has_gradients_and_is_taken_over(small_model):
    quantizer = ActivationQuantizer()
    quantizer.set_range(-1.0, 3.0)
    x = -2.0 + 6.0 * torch.rand(1001, generator=torch.Generator().manual_seed(4))  # no value lies between two levels
    before = quantizer(x)
    quantizer.learn()
    assert quantizer.learned is not None
    assert torch.allclose(quantizer(x), before, atol=1e-6)
    quantizer(x).square().sum().backward()
    assert quantizer.learned.log_scale.grad is not None
    assert quantizer.learned.log_scale.grad.abs() > 0  # values are clipped: a wider range would let them through
    assert quantizer.learned.zero_point.grad is not None
    with torch.no_grad():
        quantizer.learned.log_scale.add_(0.5)
        quantizer.learned.zero_point.add_(3.3)
    after = quantizer(x)
    quantizer.settle()
    assert quantizer.learned is None
    assert not list(quantizer.parameters())
    assert torch.allclose(quantizer(x), after, atol=1e-6)


def test_ranges_that_are_fixed_or_unused_are_not_learned():
    fixed, unused = ActivationQuantizer(fixed=(0.0, 1.0)), ActivationQuantizer()
    unused.mode = "off"
    for quantizer in (fixed, unused):
        quantizer.learn()
        assert quantizer.learned is None


def test_one_block_alone_moves_the_answer_and_no_block_does_not():
    network = quantized_network(lively_network(**WHOLE), QuantizationConfig(float_blocks=()))
    for _, quantizer in activation_quantizers(network):
        quantizer.set_range(-4.0, 4.0)
    with torch.inference_mode():
        set_blocks(network, set())
        whole = network(IMAGE)
        for name in block_names():
            set_blocks(network, {name})
            assert (network(IMAGE) - whole).abs().max() > 0, name


def test_an_int8_checkpoint_brings_back_the_same_network_and_says_what_it_is(small_quantized_checkpoint: Path):
    header = read_header(small_quantized_checkpoint)
    assert header.quantization is not None
    assert QuantizationConfig.from_dict(header.quantization) == QuantizationConfig()
    assert header.provenance["method"] == "ptq"
    assert header.provenance["float"]["weights_sha256"]
    first, second = load_model(small_quantized_checkpoint), load_model(small_quantized_checkpoint)
    assert is_quantized(first)
    with torch.inference_mode():
        assert torch.equal(first(IMAGE), second(IMAGE))
    assert small_quantized_checkpoint.stat().st_size < 6_000_000


def test_recording_a_figure_keeps_it_an_int8_checkpoint(small_quantized_checkpoint: Path, tmp_path: Path):
    path = tmp_path / "copy.safetensors"
    path.write_bytes(small_quantized_checkpoint.read_bytes())
    record_provenance(path, {"test_dice": 0.5})
    header = read_header(path)
    assert header.quantization is not None
    assert header.provenance["test_dice"] == 0.5
    with torch.inference_mode():
        assert torch.equal(load_model(path)(IMAGE), load_model(small_quantized_checkpoint)(IMAGE))


def test_another_size_is_refused_for_an_int8_checkpoint(small_quantized_checkpoint: Path):
    with pytest.raises(CheckpointError, match="quantized for 96 x 96"):
        load_model(small_quantized_checkpoint, size=128)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"weight_limit": 128}, "1..127"),
        ({"weight_limit": 12.5}, "whole number"),
        ({"elu_floor": 0.0}, r"\[-100, 0\)"),
        ({"elu_floor": -float("inf")}, r"\[-100, 0\)"),
        ({"float_blocks": ("stomach",)}, "stomach"),
    ],
)
def test_a_configuration_out_of_range_is_refused(changes, words):
    with pytest.raises(ConfigurationError, match=words):
        QuantizationConfig(**changes)
