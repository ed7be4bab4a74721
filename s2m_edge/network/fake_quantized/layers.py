"""Fake-quantized layers: float tensors of values that int8 can hold, with gradients passed straight through."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn

from s2m_edge.network.blocks import convolution_arguments
from s2m_edge.network.fake_quantized.config import HIGHEST, LOWEST

Mode = Literal["quantize", "observe", "off"]
SMALLEST_SCALE = 1e-8
OBSERVED_EDGE = 64


class LearnedRange(nn.Module):
    """An activation quantizer's scale and zero point while they are fine-tuned (LSQ+, arXiv 2004.09576).

    The scale is learned as its logarithm, so that it stays positive and one rate fits all sizes; the zero point in
    levels, rounded where it is used.
    """

    def __init__(self, scale: Tensor, zero_point: Tensor) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(scale.detach().log().reshape(1))
        self.zero_point = nn.Parameter(zero_point.detach().float().reshape(1))

    def forward(self, x: Tensor) -> Tensor:
        # The operation of torch.ao's learnable fake quantization: both gradients in one pass over the tensor.
        return torch._fake_quantize_learnable_per_tensor_affine(
            x, self.log_scale.exp(), self.zero_point, LOWEST, HIGHEST, 1.0
        )


class ActivationQuantizer(nn.Module):
    """Rounds a tensor of any shape to 256 levels: scale * (q - zero_point), q in -128..127.

    Args:
        fixed: the range, for tensors that have one by construction; it is never calibrated.
        floor: values below are of no interest (see `QuantizationConfig.elu_floor`).

    Attributes:
        mode: "quantize"; "observe" collects a histogram and passes the tensor on unchanged; "off" only passes it on.
        scale, zero_point: float32 and int32, without axes.
        learned: both as parameters, between `learn` and `settle`.
    """

    scale: Tensor
    zero_point: Tensor

    def __init__(self, *, fixed: tuple[float, float] | None = None, floor: float | None = None) -> None:
        super().__init__()
        self.fixed, self.floor = fixed, floor
        self.mode: Mode = "quantize"
        self.observer: nn.Module | None = None
        self.learned: LearnedRange | None = None
        self.register_buffer("scale", torch.tensor(1.0))
        self.register_buffer("zero_point", torch.tensor(0, dtype=torch.int32))
        if fixed is not None:
            self.set_range(*fixed)

    def set_range(self, low: float, high: float) -> None:
        """Take scale and zero point from a range, widened to hold 0, which padding needs to be exact."""
        low, high = min(low, 0.0), max(high, 0.0)
        scale = max((high - low) / (HIGHEST - LOWEST), SMALLEST_SCALE)
        self.scale.fill_(scale)
        self.zero_point.fill_(int(min(max(LOWEST - round(low / scale), LOWEST), HIGHEST)))

    def learn(self) -> None:
        """Make scale and zero point parameters, unless the range is fixed or unused."""
        if self.mode == "quantize" and self.fixed is None:
            self.learned = LearnedRange(self.scale, self.zero_point)

    @torch.no_grad()
    def settle(self) -> None:
        """Take over what was learned, and learn no more."""
        if self.learned is not None:
            self.scale.fill_(max(float(self.learned.log_scale.exp()), SMALLEST_SCALE))
            self.zero_point.fill_(int(self.learned.zero_point.round().clamp(LOWEST, HIGHEST)))
            self.learned = None

    def observed(self, x: Tensor) -> Tensor:
        """What the observer is shown of `x`: every second row and column of a large map, nothing below the floor."""
        if x.dim() == 4 and x.shape[-1] >= OBSERVED_EDGE:
            x = x[..., ::2, ::2]
        return x if self.floor is None else x.clamp(min=self.floor)

    def forward(self, x: Tensor) -> Tensor:
        if self.mode == "quantize" and self.learned is not None:
            return self.learned(x)
        if self.mode == "quantize":
            return torch.fake_quantize_per_tensor_affine(x, self.scale, self.zero_point, LOWEST, HIGHEST)
        if self.mode == "observe" and self.observer is not None:
            self.observer(self.observed(x.detach()))
        return x


class QuantizedConv2d(nn.Conv2d):
    """A convolution whose weights are rounded to whole multiples of one scale per output channel.

    `weight` stays float; `weight_scale` (one per output channel, float32) belongs to it: in training it follows the
    weights, in eval mode it is what was last set.

    Attributes:
        enabled: whether weights are rounded.
    """

    weight_scale: Tensor

    def __init__(self, convolution: nn.Conv2d, weight_limit: int) -> None:
        super().__init__(**convolution_arguments(convolution))
        self.weight_limit, self.enabled = weight_limit, True
        self.register_buffer("weight_scale", torch.ones(convolution.out_channels))
        with torch.no_grad():
            self.weight.copy_(convolution.weight)
            if self.bias is not None and convolution.bias is not None:
                self.bias.copy_(convolution.bias)
        self.to(convolution.weight)
        self.follow_weights()

    def train(self, mode: bool = True) -> QuantizedConv2d:
        """Leaving training mode, the scales follow the weights a last time: the optimizer moved them since."""
        if self.training and not mode:
            self.follow_weights()
        return super().train(mode)

    @torch.no_grad()
    def follow_weights(self) -> None:
        """Set every channel's scale so that its largest weight is the largest that there is."""
        largest = self.weight.detach().abs().amax(dim=(1, 2, 3))
        self.weight_scale.copy_((largest / self.weight_limit).clamp(min=SMALLEST_SCALE))

    def integers(self) -> Tensor:
        """The weights as int8, of weight's shape."""
        # By way of the rounded weights, so that ties fall as they do there.
        return (self.rounded_weight().detach() / self.weight_scale[:, None, None, None]).round().to(torch.int8)

    def rounded_weight(self) -> Tensor:
        """The weights as the integers say, float32, with a gradient."""
        zeros = torch.zeros(self.out_channels, dtype=torch.int32, device=self.weight.device)
        limit = self.weight_limit
        return torch.fake_quantize_per_channel_affine(self.weight, self.weight_scale, zeros, 0, -limit, limit)

    def forward(self, input: Tensor) -> Tensor:
        if not self.enabled:
            return super().forward(input)
        if self.training:
            self.follow_weights()
        return self._conv_forward(input, self.rounded_weight(), self.bias)


def activation_quantizers(network: nn.Module) -> Iterator[tuple[str, ActivationQuantizer]]:
    """Every activation quantizer once, by its first path; some belong to two blocks (an encoder stage's result is also
    a skip, and lies beside other channels in one tensor)."""
    return ((name, module) for name, module in network.named_modules() if isinstance(module, ActivationQuantizer))


def quantized_convolutions(network: nn.Module) -> Iterator[tuple[str, QuantizedConv2d]]:
    return ((name, module) for name, module in network.named_modules() if isinstance(module, QuantizedConv2d))


@contextmanager
def rounding_off(network: nn.Module) -> Iterator[None]:
    """Meanwhile `network` computes in float: what quantizes, activations and weights, does not."""
    quantizers = [quantizer for _, quantizer in activation_quantizers(network) if quantizer.mode == "quantize"]
    layers = [layer for _, layer in quantized_convolutions(network) if layer.enabled]
    try:
        for quantizer in quantizers:
            quantizer.mode = "off"
        for layer in layers:
            layer.enabled = False
        yield
    finally:
        for quantizer in quantizers:
            quantizer.mode = "quantize"
        for layer in layers:
            layer.enabled = True


def is_quantized(network: nn.Module) -> bool:
    """Whether `network` came from `quantized_network`."""
    return any(True for _ in activation_quantizers(network))
