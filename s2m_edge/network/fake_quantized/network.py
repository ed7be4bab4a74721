"""From S2M-Net to its fake-quantized form, an S2MNet too: whatever runs, lowers or scores one takes it."""

from __future__ import annotations

import copy

from torch import nn

from s2m_edge.network.blocks import BoundaryFocusedDecoder, ConvNorm, MultiReceptiveField, SpectralSpatialMixer
from s2m_edge.network.fake_quantized.blocks import (
    QuantizedDecoder,
    QuantizedMixer,
    QuantizedReceptiveField,
    convolution_block,
    folded,
    quantize_mixer_parts,
)
from s2m_edge.network.fake_quantized.config import QuantizationConfig
from s2m_edge.network.fake_quantized.layers import ActivationQuantizer, QuantizedConv2d, activation_quantizers
from s2m_edge.network.model import EncoderStage, S2MNet

PICTURE_RANGE = (0.0, 1.0)
DOWN_LAYERS = 4
"""Of a strided convolution: itself, a quantizer, ELU, a quantizer."""
STEM_LAYERS = 1 + DOWN_LAYERS
"""The stem rounds the picture first."""


def quantized_network(model: S2MNet, config: QuantizationConfig | None = None) -> S2MNet:
    """A copy of `model`, eval mode, BatchNorm folded, with quantizers in it; its scales are still to be calibrated.

    BatchNorm is folded first and for good: what is fine-tuned are the folded weights, which are the ones that the
    targets round. Statistics of small batches never enter.

    Args:
        model: a trained network.

    Returns:
        An S2MNet of the same configuration whose blocks are those of `s2m_edge.network.fake_quantized.blocks`.
    """
    config = config or QuantizationConfig()
    network = copy.deepcopy(model).eval()
    skips = [ActivationQuantizer() for _ in network.encoder]
    assert isinstance(network.stem, ConvNorm)
    stem = convolution_block(*folded(network.stem), config)
    network.stem = nn.Sequential(ActivationQuantizer(fixed=PICTURE_RANGE), *stem)  # type: ignore[assignment]
    for index, stage in enumerate(network.encoder):
        assert isinstance(stage, EncoderStage)
        assert isinstance(stage.receptive, MultiReceptiveField)
        stage.down = convolution_block(*folded(stage.down), config)  # type: ignore[assignment]
        stage.receptive = QuantizedReceptiveField(stage.receptive, config)  # type: ignore[assignment]
        if isinstance(stage.mixer, SpectralSpatialMixer):
            quantize_mixer_parts(stage.mixer, f"encoder.{index}", config)
        else:  # the block's result is the stage's: rounded once, by one scale
            stage.receptive.result = skips[index]
        stage.mixer = QuantizedMixer(stage.mixer, skips[index])  # type: ignore[assignment]
    for index, block in enumerate(network.decoder):
        assert isinstance(block, BoundaryFocusedDecoder)
        network.decoder[index] = QuantizedDecoder(block, skips[-2 - index], config)
    last_block = network.decoder[-1]
    assert isinstance(last_block, QuantizedDecoder)
    network.head = nn.Sequential(*_head_layers(network.head, last_block.project[-1], config))
    _leave_in_float(network, config)
    return network.eval()


def _head_layers(head: nn.Sequential, before: nn.Module, config: QuantizationConfig) -> list[nn.Module]:
    """The head's layers; `before` rounded what comes in, and rounds the enlarged map too, so that its type is known."""
    upsample, first, activation, second, second_activation, last = head
    assert isinstance(first, nn.Conv2d)
    assert isinstance(second, nn.Conv2d)
    assert isinstance(last, nn.Conv2d)
    layers: list[nn.Module] = [upsample, before]
    layers.extend(convolution_block(first, activation, config))
    layers.extend(convolution_block(second, second_activation, config))
    layers.extend(convolution_block(last, None, config) if config.quantizes("classifier") else [last])
    return layers


def block_of(path: str) -> str:
    """The block (`block_names`) that a quantizer or a quantized convolution belongs to, by its path in the network.

    What rounds the result of the stem or of a strided convolution belongs to the block that takes it.
    """
    parts = path.split(".")
    if parts[0] == "stem":
        return "encoder.0.down" if parts[1:] == [str(STEM_LAYERS - 1)] else "stem"
    if parts[0] == "head":
        return "head"
    if parts[0] == "decoder":
        return ".".join(parts[:2])
    if parts[2] == "mixer" and len(parts) == 4:  # the stage's result
        return f"{parts[0]}.{parts[1]}.receptive"
    if parts[2] == "down" and parts[3:] == [str(DOWN_LAYERS - 1)]:
        return f"{parts[0]}.{parts[1]}.receptive"
    if parts[2] != "mixer":
        return ".".join(parts[:3])
    inside = parts[4:]
    if "norm" in inside or inside[:2] == ["fuse", "1"]:
        return f"{parts[0]}.{parts[1]}.norm"
    return f"{parts[0]}.{parts[1]}.{'spectral' if inside[0] == 'spectral' else 'mixer'}"


def classifier_paths(network: S2MNet) -> tuple[str, ...]:
    """The paths of the last convolution and its quantizer, where they are quantized."""
    last = len(network.head) - 1
    return (f"head.{last - 1}", f"head.{last}") if isinstance(network.head[-1], ActivationQuantizer) else ()


def set_blocks(network: S2MNet, blocks: set[str]) -> None:
    """Quantize these blocks and compute all others in float; in place."""
    classifier = classifier_paths(network)

    def chosen(path: str) -> bool:
        return ("classifier" if path in classifier else block_of(path)) in blocks

    for path, quantizer in activation_quantizers(network):
        quantizer.mode = "quantize" if chosen(path) else "off"
    for path, module in network.named_modules():
        if isinstance(module, QuantizedConv2d):
            module.enabled = chosen(path)


def _leave_in_float(network: S2MNet, config: QuantizationConfig) -> None:
    """Turn off what the configuration names and that quantizers were made for."""
    if config.float_blocks:
        from s2m_edge.network.fake_quantized.config import block_names

        set_blocks(network, {name for name in block_names() if config.quantizes(name)})
