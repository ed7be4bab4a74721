"""Counting a network's multiply-adds."""

from __future__ import annotations

import torch
from torch import nn

from s2m_edge.deploy.arithmetic import multiply_adds


def test_a_convolutions_multiply_adds_are_its_taps_times_its_outputs():
    convolution = nn.Conv2d(3, 8, 3, stride=2, padding=1, groups=1)
    assert multiply_adds(convolution, (3, 32, 32)) == 8 * 16 * 16 * 3 * 9


def test_the_networks_count_is_that_of_its_convolutions_and_of_the_filters_four_products(small_model):
    counted = 0

    def add(module: nn.Conv2d, inputs, output) -> None:
        nonlocal counted
        counted += output.numel() * module.weight[0].numel()

    hooks = [module.register_forward_hook(add) for module in small_model.modules() if isinstance(module, nn.Conv2d)]
    with torch.no_grad():
        small_model(torch.zeros(1, 3, 96, 96))
    for hook in hooks:
        hook.remove()
    config = small_model.config
    for stage in config.mixer_stages:
        channels = config.encoder_channels[stage - 1]
        length, basis = config.stage_size(stage), 2 * (config.stage_frequencies(stage) // 2 + 1)
        # Along the width, then along the height, and back again.
        counted += 2 * channels * (length * length * basis + length * basis * basis)
    assert multiply_adds(small_model, (3, 96, 96)) == counted


def test_counting_leaves_the_network_alone(small_model):
    multiply_adds(small_model, (3, 96, 96))
    assert {parameter.device.type for parameter in small_model.parameters()} == {"cpu"}


class _OfItsOwnTensors(nn.Module):
    """Holds a tensor that is no buffer, makes one without naming a device, and keeps it."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.offset, self.rows = nn.Conv2d(3, 4, 1), torch.ones(4, 1, 1), None

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        if self.rows is None:
            self.rows = torch.linspace(0, 1, image.shape[-2])[:, None]
        return self.convolution(image) * self.rows + self.offset


def test_a_network_may_hold_and_make_tensors_of_its_own_and_keeps_none_of_the_counts():
    network = _OfItsOwnTensors()
    assert multiply_adds(network, (3, 8, 6)) == 3 * 4 * 8 * 6
    assert network.rows is None
