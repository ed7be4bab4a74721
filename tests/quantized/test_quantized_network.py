"""The fake-quantized network: exact when nothing is rounded, 256 levels when it is, one file that brings it back."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from s2m_edge.checkpoint import load_model, read_header, record_provenance
from s2m_edge.config import S2MNetConfig
from s2m_edge.errors import CheckpointError, ConfigurationError
from s2m_edge.model import S2MNet
from s2m_edge.quantized import (
    ActivationQuantizer,
    QuantizationConfig,
    QuantizedConv2d,
    activation_quantizers,
    is_quantized,
    quantized_network,
)
from s2m_edge.quantized.config import block_names
from s2m_edge.quantized.layers import quantized_convolutions
from s2m_edge.quantized.network import block_of, set_blocks

IMAGE = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("float_blocks", [QuantizationConfig().float_blocks, ()])
def test_with_every_quantizer_off_it_is_the_float_network(small_model, float_blocks):
    network = quantized_network(small_model, QuantizationConfig(float_blocks=float_blocks))
    set_blocks(network, set())
    with torch.inference_mode():
        assert torch.allclose(network(IMAGE), small_model(IMAGE), atol=1e-4)
        for ours, theirs in zip(
            network.forward_with_boundaries(IMAGE).boundaries,
            small_model.forward_with_boundaries(IMAGE).boundaries,
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


def test_a_picture_of_eight_bits_is_not_rounded(small_quantized_checkpoint):
    first = load_model(small_quantized_checkpoint).stem[0]
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


def test_the_default_leaves_sstm_and_the_last_convolution_in_float(small_model):
    network = quantized_network(small_model)
    names = [name for name, layer in quantized_convolutions(network) if layer.enabled]
    assert not [name for name in names if ".mixer.mixer." in name]
    assert isinstance(network.head[-1], torch.nn.Conv2d)
    assert not isinstance(network.head[-1], QuantizedConv2d)
    blocks = {block_of(name) for name, _ in activation_quantizers(network)}
    assert blocks == {name for name in block_names() if QuantizationConfig().quantizes(name)}


def test_one_block_alone_moves_the_answer_and_no_block_does_not(small_model):
    network = quantized_network(small_model, QuantizationConfig(float_blocks=()))
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
    assert header.provenance["float"]["sha256"]
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
    [({"weight_limit": 128}, "1..127"), ({"elu_floor": 0.0}, "negative"), ({"float_blocks": ("stomach",)}, "stomach")],
)
def test_a_configuration_out_of_range_is_refused(changes, words):
    with pytest.raises(ConfigurationError, match=words):
        QuantizationConfig(**changes)
