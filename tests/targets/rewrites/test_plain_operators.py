"""Operators that some backend lacks or changes are said in others, and give the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from networks import plain_u_net
from s2m_edge.targets.coreai.lowerings import lacking_operators
from s2m_edge.targets.openvino.export import LACKING
from s2m_edge.targets.rewrites.operators import in_plain_operators
from s2m_edge.targets.rewrites.operators.calls import argument
from s2m_edge.targets.rewrites.operators.curves import scaled_elu

aten = torch.ops.aten
FURTHER = {**lacking_operators(), **LACKING}


class Function(nn.Module):
    """Any function of a picture."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def picture(*shape: int) -> Tensor:
    """With equal neighbours here and there, as behind a ReLU."""
    return torch.relu(torch.randn(*shape, generator=torch.Generator().manual_seed(1)))


def calls(network: nn.Module, image: Tensor) -> set[Any]:
    program = torch.export.export(network, (image,)).run_decompositions({})
    return {node.target for node in program.graph.nodes if node.op == "call_function"}


def require_equal(function: Callable[[Tensor], Tensor], image: Tensor, *gone: Any) -> None:
    network = Function(function).eval()
    assert calls(network, image) & set(gone), "the network does not call what it is to be rid of"
    found = in_plain_operators(network, image, FURTHER)
    assert not calls(found, image) & set(gone)
    torch.testing.assert_close(found(image), network(image), atol=5e-6, rtol=5e-6)
    other = 2.0 * image.flip(-1) - 0.5
    torch.testing.assert_close(found(other), network(other), atol=5e-6, rtol=5e-6)


@pytest.mark.parametrize("size", [(8, 12), (9, 13)], ids=str)
@pytest.mark.parametrize("window", [2, 3])
def test_values_are_unpooled_to_the_first_of_equal_maxima_and_to_the_size_before(size: tuple[int, int], window: int):
    pool, unpool = nn.MaxPool2d(window, window, return_indices=True), nn.MaxUnpool2d(window, window)

    def there_and_back(x: Tensor) -> Tensor:
        values, places = pool(x)
        return unpool(1.0 - values.flip(1), places, output_size=x.shape)

    image = picture(1, 3, *size)
    require_equal(there_and_back, image, aten.max_pool2d_with_indices.default, aten.max_unpool2d.default)
    require_equal(there_and_back, torch.zeros_like(image), aten.max_unpool2d.default)


def test_an_unpooling_of_another_kind_is_left_to_the_backend():
    def overlapping(x: Tensor) -> Tensor:
        values, places = F.max_pool2d(x, 3, 2, return_indices=True)
        return F.max_unpool2d(values, places, [3, 3], [2, 2])

    def counted(x: Tensor) -> Tensor:
        values, places = F.max_pool2d(x, 2, return_indices=True)
        return F.max_unpool2d(values, places, [2, 2]) + places.sum()

    for function, size in ((overlapping, 9), (counted, 8)):
        network = Function(function)
        assert in_plain_operators(network, picture(1, 2, size, size)) is network


@pytest.mark.parametrize("size", [1, 4, (3, None), (5, 7)], ids=str)
def test_adaptive_maxima_are_maxima_over_windows(size: Any):
    require_equal(lambda x: F.adaptive_max_pool2d(x, size), picture(1, 3, 12, 16), aten.adaptive_max_pool2d.default)
    module = nn.AdaptiveMaxPool2d(size)
    require_equal(lambda x: module(x), picture(1, 3, 12, 16), aten.adaptive_max_pool2d.default)


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize(
    ("window", "step", "padding"), [(5, 5, 0), (3, 2, 1), ((3, 5), (2, 4), (1, 2)), (2, 3, 1)], ids=str
)
def test_means_and_maxima_over_the_edge_count_what_is_there(window: Any, step: Any, padding: Any, inside: bool):
    image = picture(1, 2, 13, 11)
    poolings: list[Callable[[Tensor], Tensor]] = [
        lambda x: F.avg_pool2d(x, window, step, padding, ceil_mode=True, count_include_pad=inside),
        lambda x: F.avg_pool2d(x, window, step, padding, ceil_mode=True, divisor_override=7),
        lambda x: (
            F.avg_pool2d(x, window, step, padding, count_include_pad=inside)
            + F.avg_pool2d(x, window, step, padding, ceil_mode=False, count_include_pad=False)
        ),
        lambda x: F.max_pool2d(x, window, step, padding, ceil_mode=True),
    ]
    for pooling in poolings:
        network = Function(pooling)
        found = in_plain_operators(network, image, FURTHER)
        program = torch.export.export(found, (image,)).run_decompositions({})
        pools = [node for node in program.graph.nodes if "pool2d" in str(node.target)]
        assert pools
        assert not any(argument(node, "ceil_mode") for node in pools)
        torch.testing.assert_close(found(image - 2), network(image - 2))


@pytest.mark.parametrize(
    ("window", "options"),
    [
        (4, {"stride": 4}),
        (3, {"padding": 1}),
        ((2, 3), {"stride": 2, "padding": (1, 0)}),
        (2, {"stride": 2, "dilation": 3, "padding": 2}),
    ],
    ids=str,
)
def test_what_is_folded_back_is_added_up(window: Any, options: dict[str, Any]):
    def folded(x: Tensor) -> Tensor:
        columns = F.unfold(x, window, **options)
        return F.fold(columns * columns, (12, 8), window, **options)

    require_equal(folded, picture(2, 3, 12, 8), aten.col2im.default)


@pytest.mark.parametrize("size", [(20, 13), (7, 5), (24, 64)], ids=str)
def test_the_nearest_neighbour_by_fractions_is_the_one_that_pytorch_takes(size: tuple[int, int]):
    """At 24 of 5 rows the quotient falls on a row's edge, and rounding decides which one is nearer."""
    nearest = aten.upsample_nearest2d.vec
    require_equal(lambda x: F.interpolate(x, size=size), picture(1, 2, 8, 10), nearest)
    require_equal(lambda x: F.interpolate(x, scale_factor=(1.7, 2.3)), picture(1, 2, 8, 10), nearest)


def test_by_whole_factors_the_nearest_neighbour_stays_as_it_is():
    network = Function(lambda x: F.interpolate(x, scale_factor=(2.0, 3.0)))
    assert in_plain_operators(network, picture(1, 2, 8, 10), FURTHER) is network


@pytest.mark.parametrize("length", [6, 7])
def test_a_median_is_the_lower_of_the_middle_two(length: int):
    require_equal(lambda x: x - x.median(), picture(1, 3, 2, length), aten.median.default)
    require_equal(lambda x: x.median(-1)[0], picture(1, 3, 2, length), aten.median.dim)
    require_equal(lambda x: x - x.median(2, keepdim=True)[0], picture(1, 3, length, 2), aten.median.dim)
    placed = Function(lambda x: x.median(-1)[1].to(x.dtype))
    assert in_plain_operators(placed, picture(1, 3, 2, length)) is placed


def test_values_are_ordered_by_taking_the_largest_or_least_of_as_many_as_there_are():
    image = torch.randperm(72, generator=torch.Generator().manual_seed(3)).float().view(1, 6, 4, 3)  # no two are equal
    sort, argsort = aten.sort.default, aten.argsort.default
    require_equal(lambda x: x.sort(1)[0] * x.sort(2, descending=True)[1], image, sort)
    require_equal(lambda x: x.gather(1, x.argsort(1, descending=True)), image, sort, argsort)


def test_curves_that_a_backend_lacks_or_takes_for_others_are_written_out():
    image = picture(1, 3, 4, 5) * 4 - 3
    require_equal(lambda x: torch.trunc(x), image, aten.trunc.default)
    rules = {aten.elu.default: scaled_elu, aten.selu.default: scaled_elu}
    for network in (nn.SELU(), nn.CELU(0.7), nn.ELU(0.5)):
        found = in_plain_operators(network, image, rules)
        assert not calls(found, image) & set(rules)
        torch.testing.assert_close(found(image), network(image))
    elu = nn.ELU()
    assert in_plain_operators(elu, image, rules) is elu


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
def test_places_between_pixels_are_sampled(mode: str):
    def sampled(x: Tensor) -> Tensor:
        grid = torch.tanh(2 * x[:, :2].permute(0, 2, 3, 1)) * 1.2
        return F.grid_sample(x, grid, mode=mode, padding_mode="border", align_corners=True)

    require_equal(sampled, picture(1, 3, 12, 9), aten.grid_sampler.default, aten.grid_sampler_2d.default)


def test_an_assignment_to_every_second_pixel_copies_as_many():
    def woven(x: Tensor) -> Tensor:
        whole = torch.zeros(1, 3, 16, 24)
        whole[:, :, 0::2, 1::2], whole[:, :, 1::2, 0::2] = x, 1.0
        return whole

    require_equal(woven, picture(1, 3, 8, 12), aten.copy.default)


def test_other_networks_stay_as_they_are():
    network, spec = plain_u_net()
    assert in_plain_operators(network, torch.rand(1, spec.channels, spec.height, spec.width), FURTHER) is network
