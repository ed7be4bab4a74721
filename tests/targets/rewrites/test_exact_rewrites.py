"""Every rewrite computes what the network computes: to rounding in float32, and far below it in float64."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from s2m_edge.deploy.activation import probabilities_from_logits
from s2m_edge.errors import LoweringError
from s2m_edge.network.blocks import ChannelLayerNorm, ConvNorm, SpectralBranch
from s2m_edge.network.config import S2MNetConfig
from s2m_edge.network.model import S2MNet
from s2m_edge.targets.base import example_image
from s2m_edge.targets.coreai.spectral import with_constant_filters
from s2m_edge.targets.rewrites import (
    ArithmeticNorm,
    ConvolutionalLayerNorm,
    SplitDepthwise,
    blend_by_interpolation,
    cut_transposed_convolutions,
    fold_batch_norm,
    layer_norm_as_convolutions,
    norms_as_arithmetic,
    phase_upsample,
    spectral_as_matmul,
    split_depthwise,
    sum_branches,
)
from s2m_edge.targets.rewrites.compact_spectral import compact_spectral
from s2m_edge.targets.rewrites.replace import replace_modules
from s2m_edge.targets.rewrites.transposed import CutTransposedConvolution
from support import ENCODER_STAGES, lively_network

Rewrite = Callable[[nn.Module], nn.Module]

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


def as_matrices(network: nn.Module) -> nn.Module:
    return spectral_as_matmul(network, example_image(3, 96, 96))


def all_of_them(network: nn.Module) -> nn.Module:
    for rewrite in (as_matrices, *REWRITES):
        network = rewrite(network)
    return network


@pytest.mark.parametrize("rewrite", [*REWRITES, as_matrices, all_of_them], ids=lambda rewrite: rewrite.__name__)
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 1e-5), (torch.float64, 1e-10)], ids=["f32", "f64"])
def test_rewrite_changes_nothing(network: S2MNet, rewrite: Rewrite, dtype: torch.dtype, bound: float) -> None:
    before = network if dtype == torch.float32 else in_double(network)
    state = {name: tensor.clone() for name, tensor in before.state_dict().items()}
    assert largest_difference(before, rewrite(before), dtype) <= bound
    assert state.keys() == before.state_dict().keys(), "the original's layout was touched"
    assert all(torch.equal(tensor, state[name]) for name, tensor in before.state_dict().items())


@pytest.mark.parametrize("rewrite", REWRITES, ids=lambda rewrite: rewrite.__name__)
def test_rewrite_works_after_the_spectral_one(network: S2MNet, rewrite: Rewrite) -> None:
    matrices = as_matrices(in_double(network))
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
    assert sum(isinstance(module, SplitDepthwise) for module in modules) == ENCODER_STAGES


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


EVERY_REWRITE = (
    fold_batch_norm,
    layer_norm_as_convolutions,
    split_depthwise,
    phase_upsample,
    sum_branches,
    blend_by_interpolation,
    as_matrices,
)


def test_a_network_that_has_nothing_to_rewrite_stays_as_it_is() -> None:
    plain = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1)).eval()
    for rewrite in EVERY_REWRITE:
        assert largest_difference(plain, rewrite(plain), torch.float32) == 0


def test_of_the_network_itself_a_rewrite_that_matches_nothing_is_a_fault(network: S2MNet) -> None:
    """Blocks and rewrites that have come apart would pass unnoticed and cost time."""

    class Emptied(nn.Module):
        expected_rewrites = network.expected_rewrites

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    for rewrite in EVERY_REWRITE:
        with pytest.raises(LoweringError, match="matches nothing"):
            rewrite(Emptied())
    assert {"fold_batch_norm", "spectral_as_matmul"} <= set(network.expected_rewrites)
    bare = S2MNet(S2MNetConfig.preset("without_sstm", size=96))
    assert "spectral_as_matmul" not in bare.expected_rewrites


def test_batch_norm_folds_in_any_sequence() -> None:
    torch.manual_seed(5)
    network = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.BatchNorm2d(4)).eval()
    for module in network:
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            module.running_mean.uniform_(-1, 1)
    folded = fold_batch_norm(network)
    assert isinstance(folded[1], nn.Identity)
    assert isinstance(folded[3], nn.BatchNorm2d), "an activation is between it and the convolution"
    assert largest_difference(network, folded, torch.float32) < 1e-6


@pytest.mark.parametrize(("height", "width", "kept"), [(24, 40, 9), (15, 8, 8), (7, 12, 5)])
def test_the_filter_as_matrices_takes_maps_that_are_not_square(height: int, width: int, kept: int) -> None:
    torch.manual_seed(6)
    branch = SpectralBranch(4, kept, 1e-6).double()
    with torch.no_grad():
        branch.filter.normal_()
    network = nn.Sequential(nn.Conv2d(3, 4, 1), branch).double().eval()
    image = torch.rand(1, 3, height, width, dtype=torch.float64)
    with torch.no_grad():
        for lower in (spectral_as_matmul, compact_spectral, with_constant_filters):
            assert torch.allclose(lower(network, image)(image), network(image), rtol=0, atol=1e-10)


def test_batch_norm_refuses_the_wrong_order_and_training_mode(network: S2MNet) -> None:
    with pytest.raises(ValueError, match="before any rewrite"):
        fold_batch_norm(split_depthwise(network))
    with pytest.raises(ValueError, match="eval mode"):
        fold_batch_norm(nn.Sequential(ConvNorm(3, 4, 3, None)).train())


@pytest.mark.parametrize(
    "norm",
    [
        nn.InstanceNorm2d(6),
        nn.InstanceNorm2d(6, affine=True),
        nn.GroupNorm(2, 6),
        nn.GroupNorm(6, 6, affine=False),
        nn.GroupNorm(1, 6),
    ],
    ids=["instance", "instance-affine", "groups-of-3", "groups-of-1", "one-group"],
)
def test_norms_of_maps_are_arithmetic(norm: nn.Module) -> None:
    generator = torch.Generator().manual_seed(8)
    network = nn.Sequential(norm).double().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    image = torch.randn(2, 6, 7, 12, generator=generator, dtype=torch.float64) + 100
    rewritten = norms_as_arithmetic(network)
    assert isinstance(rewritten[0], ArithmeticNorm)
    with torch.no_grad():
        assert torch.allclose(rewritten(image), network(image), rtol=0, atol=1e-9)


def test_a_norm_with_statistics_of_its_own_stays() -> None:
    network = nn.Sequential(nn.InstanceNorm2d(3, track_running_stats=True)).eval()
    assert isinstance(norms_as_arithmetic(network)[0], nn.InstanceNorm2d)


def test_a_network_that_is_one_such_module_is_replaced_as_a_whole():
    convolution = nn.Conv2d(3, 1, 1).eval()
    wrapped = replace_modules(convolution, nn.Conv2d, lambda module: nn.Sequential(module))
    assert [type(module) for module in wrapped.modules()] == [nn.Sequential, nn.Conv2d]
    image = torch.rand(1, 3, 4, 4)
    assert torch.equal(wrapped(image), convolution(image))


@pytest.mark.parametrize(
    ("padding", "further", "dilation", "cut"),
    [
        (1, 1, 1, True),
        ((2, 1), (1, 0), 1, True),
        (2, 1, 2, True),
        (0, 0, (3, 1), True),
        (1, 0, 1, False),
        (0, 1, 2, False),
    ],
)
def test_a_transposed_convolution_with_output_padding_or_dilation_is_one_that_is_cut(padding, further, dilation, cut):
    network = nn.Sequential(nn.ConvTranspose2d(4, 6, 3, 2, padding, further, groups=2, dilation=dilation))
    image = torch.randn(1, 4, 7, 9, generator=torch.Generator().manual_seed(0))
    rewritten = cut_transposed_convolutions(network)
    assert isinstance(rewritten[0], CutTransposedConvolution) is cut
    if cut:
        calls = [node for node in torch.export.export(rewritten, (image,)).graph.nodes if node.op == "call_function"]
        convolution = next(node for node in calls if "conv_transpose2d" in str(node.target))
        assert all(len(node.args) < 8 for node in calls), "no dilation is left"
        assert convolution.args[4:6] == ([0, 0], [0, 0])
    torch.testing.assert_close(rewritten(image), network(image))
