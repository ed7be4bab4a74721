"""Every rewrite computes what the network computes: to rounding in float32, and far below it in float64."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from s2m_edge.blocks import ChannelLayerNorm, ConvNorm
from s2m_edge.model import S2MNet, probabilities_from_logits
from s2m_edge.targets.rewrites import (
    ConvolutionalLayerNorm,
    SplitDepthwise,
    blend_by_interpolation,
    fold_batch_norm,
    layer_norm_as_convolutions,
    phase_upsample,
    spectral_as_matmul,
    split_depthwise,
    sum_branches,
)
from support import lively_network

Rewrite = Callable[[S2MNet], S2MNet]

REWRITES: tuple[Rewrite, ...] = (
    fold_batch_norm,
    layer_norm_as_convolutions,
    split_depthwise,
    phase_upsample,
    blend_by_interpolation,
    sum_branches,
)


@pytest.fixture(scope="module")
def network() -> S2MNet:
    return lively_network(classes=2, seed=7)


def largest_difference(before: nn.Module, after: nn.Module, dtype: torch.dtype) -> float:
    """Of the probabilities: in float32 a random network's logits differ by rounding alone by about 1e-5."""
    image = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(1)).to(dtype)
    with torch.no_grad():
        pair = (probabilities_from_logits(network(image)) for network in (before, after))
        return (next(pair) - next(pair)).abs().max().item()


def all_of_them(network: S2MNet) -> S2MNet:
    for rewrite in (spectral_as_matmul, *REWRITES):
        network = rewrite(network)
    return network


@pytest.mark.parametrize("rewrite", [*REWRITES, spectral_as_matmul, all_of_them], ids=lambda rewrite: rewrite.__name__)
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 1e-5), (torch.float64, 1e-10)], ids=["f32", "f64"])
def test_rewrite_changes_nothing(network: S2MNet, rewrite: Rewrite, dtype: torch.dtype, bound: float) -> None:
    before = network if dtype == torch.float32 else in_double(network)
    state = {name: tensor.clone() for name, tensor in before.state_dict().items()}
    assert largest_difference(before, rewrite(before), dtype) <= bound
    assert state.keys() == before.state_dict().keys(), "the original's layout was touched"
    assert all(torch.equal(tensor, state[name]) for name, tensor in before.state_dict().items())


@pytest.mark.parametrize("rewrite", REWRITES, ids=lambda rewrite: rewrite.__name__)
def test_rewrite_works_after_the_spectral_one(network: S2MNet, rewrite: Rewrite) -> None:
    matrices = spectral_as_matmul(in_double(network))
    assert largest_difference(matrices, rewrite(matrices), torch.float64) <= 1e-10


def in_double(network: S2MNet) -> S2MNet:
    copy = S2MNet(network.config)
    copy.load_state_dict(network.state_dict())
    return copy.double().eval()


def test_the_rewritten_modules_are_really_gone(network: S2MNet) -> None:
    modules = list(all_of_them(network).modules())
    gone = (nn.BatchNorm2d, ConvNorm, ChannelLayerNorm, nn.Upsample)
    assert not [module for module in modules if isinstance(module, gone)]
    assert not [module for module in modules if isinstance(module, nn.Conv2d) and module.kernel_size == (7, 7)]
    assert sum(isinstance(module, SplitDepthwise) for module in modules) == 5


@pytest.mark.parametrize("size", [1, 5, 7, 12])
def test_split_depthwise_at_borders_and_on_small_maps(size: int) -> None:
    torch.manual_seed(size)
    network = nn.Sequential(nn.Conv2d(3, 3, 7, padding=3, groups=3)).double()
    image = torch.randn(1, 3, size, size + 2, dtype=torch.float64)
    assert torch.allclose(split_depthwise(network)(image), network(image), rtol=0, atol=1e-12)


@pytest.mark.parametrize("bias", [True, False])
def test_phase_upsample_is_exact_on_the_border(bias: bool) -> None:
    torch.manual_seed(3)
    network = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(3, 5, 3, padding=1, bias=bias)).double()
    image = torch.randn(2, 3, 4, 3, dtype=torch.float64)
    rewritten = phase_upsample(network)
    assert torch.allclose(rewritten(image), network(image), rtol=0, atol=1e-12)
    assert not any(isinstance(module, nn.Upsample) for module in rewritten)


def test_layer_norm_survives_a_large_common_offset() -> None:
    torch.manual_seed(4)
    norm = ChannelLayerNorm(24, 1e-6)
    x = torch.randn(1, 24, 6, 6) + 100.0
    exact = F.layer_norm(x.double().permute(0, 2, 3, 1), (24,), eps=1e-6).permute(0, 3, 1, 2)
    with torch.no_grad():
        # Centring first: mean(x^2) - mean(x)^2 would lose everything here.
        assert (ConvolutionalLayerNorm(norm)(x) - exact).abs().max().item() <= 1e-3


def test_rewrites_that_match_nothing_say_so() -> None:
    plain = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1))
    for rewrite in (fold_batch_norm, layer_norm_as_convolutions, split_depthwise, phase_upsample, sum_branches):
        with pytest.raises(ValueError, match="has no"):
            rewrite(plain)


def test_batch_norm_refuses_the_wrong_order_and_training_mode(network: S2MNet) -> None:
    with pytest.raises(ValueError, match="before any rewrite"):
        fold_batch_norm(split_depthwise(network))
    with pytest.raises(ValueError, match="eval mode"):
        fold_batch_norm(nn.Sequential(ConvNorm(3, 4, 3, None)).train())
