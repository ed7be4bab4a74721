"""The network has the paper's layout, to the parameter, at every size it promises."""

from __future__ import annotations

import pytest
import torch

from s2m_edge import S2MNet, S2MNetConfig
from s2m_edge.deploy.activation import probabilities_from_logits
from s2m_edge.errors import ConfigurationError
from s2m_edge.network.blocks import initial_filter
from s2m_edge.network.model import count_parameters


@pytest.mark.parametrize(
    ("preset", "size", "trainable", "statistics"),
    [
        ("released", 352, 4_768_920, 22_624),
        ("released", 256, 4_766_008 - 22_624, 22_624),
        ("paper", 352, 4_757_808, 22_624),
        ("without_sstm", 256, 4_503_720 - 22_624, 22_624),
    ],
)
def test_parameters_are_those_of_the_preset(preset, size, trainable, statistics):
    assert count_parameters(S2MNet(S2MNetConfig.preset(preset, size=size))) == (trainable, statistics)


@pytest.mark.parametrize(("size", "classes", "channels"), [(96, 1, 3), (128, 4, 1), (160, 2, 3)])
def test_logits_have_the_size_of_the_image(size, classes, channels):
    model = S2MNet(S2MNetConfig.preset("paper", size=size, classes=classes, in_channels=channels)).eval()
    with torch.inference_mode():
        logits = model(torch.rand(2, channels, size, size))
    assert logits.shape == (2, classes, size, size)
    total = probabilities_from_logits(logits).sum(dim=1)
    assert classes == 1 or torch.allclose(total, torch.ones_like(total), atol=1e-5)


def test_boundary_maps_come_on_request_and_lie_in_the_unit_interval():
    model = S2MNet(S2MNetConfig.preset("paper", size=96)).eval()
    with torch.inference_mode():
        output = model.forward_with_features(torch.rand(1, 3, 96, 96))
    assert [tuple(beta.shape) for beta in output.boundaries] == [(1, 1, n, n) for n in (6, 12, 24, 48)]
    assert all(beta.min() >= 0 and beta.max() <= 1 for beta in output.boundaries)


@pytest.mark.parametrize("stages", [2, 3, 4])
def test_a_network_of_fewer_stages_has_fewer_blocks_and_answers_in_the_images_size(stages):
    every = tuple(range(1, stages + 1))
    config = S2MNetConfig.preset(
        "paper", size=96, encoder_channels=(8,) * stages, mixer_stages=every, spatial_stages=()
    )
    model = S2MNet(config).eval()
    with torch.inference_mode():
        output = model.forward_with_features(torch.rand(1, 3, 96, 96))
    assert output.logits.shape == (1, 1, 96, 96)
    assert len(output.boundaries) == stages - 1
    assert model.blocks[0] == "stem"
    assert len(model.blocks) == 1 + 3 * stages + (stages - 1) + 1


@pytest.mark.parametrize("size", [64, 100, 0, -32])
def test_sizes_that_are_not_multiples_of_32_from_96_up_are_refused(size):
    with pytest.raises(ConfigurationError, match="multiple of 32"):
        S2MNetConfig.preset("paper", size=size)


@pytest.mark.parametrize(
    "changes",
    [
        {"in_channels": 2},
        {"classes": 0},
        {"dropout": 1.0},
        {"spatial_branch": "none"},
        {"kept_frequencies": 0},
        {"mixer_stages": (0,)},
        {"spatial_stages": (1, 6)},
        {"encoder_channels": (8,), "mixer_stages": (1,), "spatial_stages": ()},
        {"encoder_channels": (8,) * 6},
        {"encoder_channels": (8, 8, 8), "mixer_stages": (1, 4), "spatial_stages": ()},
    ],
)
def test_options_outside_their_range_are_refused(changes):
    with pytest.raises(ConfigurationError):
        S2MNetConfig.preset("paper", **changes)


def test_an_unknown_preset_is_refused_with_the_valid_ones():
    with pytest.raises(ConfigurationError, match="paper, released"):
        S2MNetConfig.preset("tiny")


def test_filters_start_as_the_papers_ring_alike_for_every_channel():
    gain = initial_filter(3, 32)
    assert torch.equal(gain[0], gain[2])
    assert gain[0, 16, 24].item() == pytest.approx(0.5)  # |f| = 8 / 32 = 0.25, the peak
    assert gain[0, 16, 16].item() == pytest.approx(0.5 * 2.718281828 ** (-(0.25**2) / (2 * 0.15**2)))


def test_every_parameter_receives_a_gradient():
    model = S2MNet(S2MNetConfig.preset("paper", size=96, dropout=0.0))
    model(torch.rand(2, 3, 96, 96)).square().mean().backward()
    without = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert without == []
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
