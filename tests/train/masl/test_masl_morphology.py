"""The descriptors say of a mask what a person would say of it."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from s2m_edge.errors import ConfigurationError
from s2m_edge.samples import sample_images, sample_mask
from s2m_edge.train.data.folders import read_binary_mask
from s2m_edge.train.masl import describe_morphology, soft_skeleton
from s2m_edge.train.masl.morphology import compactness, hard_skeleton, perimeter

SIDE = 200


def polar(radius: Callable[[Tensor], Tensor], side: int = SIDE) -> Tensor:
    """1 x 1 x side x side: what lies within `radius` (of the angle) of the centre."""
    row, column = torch.meshgrid(torch.arange(side) - side / 2, torch.arange(side) - side / 2, indexing="ij")
    inside = torch.hypot(row, column) <= radius(torch.atan2(row, column))
    return inside.float()[None, None]


def disc(radius: float, side: int = SIDE) -> Tensor:
    return polar(lambda angle: torch.full_like(angle, radius), side)


def star(outer: float, points: int = 5) -> Tensor:
    """A star with straight edges, its notches at 0.4 of its tips."""
    half = math.pi / points
    x, y = 0.4 * outer * math.cos(half) - outer, 0.4 * outer * math.sin(half)

    def radius(angle: Tensor) -> Tensor:
        turned = angle % (2 * half)
        turned = torch.minimum(turned, 2 * half - turned)
        return outer * y / (turned.cos() * y - turned.sin() * x)

    return polar(radius)


def jagged_blob(radius: float) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    waves = [(k, torch.randn((), generator=generator), 7 * torch.rand((), generator=generator)) for k in range(8, 25)]

    def edge(angle: Tensor) -> Tensor:
        return radius + 0.025 * radius * torch.stack([a * torch.cos(k * angle + b) for k, a, b in waves]).sum(dim=0)

    return polar(edge)


def vessel(width: int = 3) -> Tensor:
    """A winding line, `width` (odd) pixels thick."""
    row, column = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    middle = (SIDE / 2 + 12 * torch.sin(column / 22)).round()
    inside = ((row - middle).abs() <= width // 2) & (column >= 20) & (column < 180)
    return inside.float()[None, None]


def square(side: float, turn: float = 0.0) -> Tensor:
    row, column = torch.meshgrid(torch.arange(SIDE) - 99.5, torch.arange(SIDE) - 99.5, indexing="ij")
    u = row * math.cos(turn) + column * math.sin(turn)
    v = column * math.cos(turn) - row * math.sin(turn)
    return (torch.maximum(u.abs(), v.abs()) <= side / 2).float()[None, None]


def real_mask(dataset: str, size: int = 352) -> Tensor:
    path = sample_mask(sample_images(dataset)[0])
    return torch.from_numpy(read_binary_mask(path, size))[None, None].float()


def test_disc_star_vessel_and_tiny_blob_rank_as_a_person_would_rank_them():
    shapes = ["disc", "star", "vessel", "tiny blob"]
    found = describe_morphology(torch.cat([disc(60), star(80), vessel(), disc(4)]))
    compact, tubular, irregular, size = (dict(zip(shapes, values.tolist(), strict=True)) for values in found)
    assert min(compact["disc"], compact["tiny blob"]) > 0.95 > 0.5 > compact["star"] > 0.2 > compact["vessel"]
    assert tubular["vessel"] > 0.3 > 0.1 > max(tubular["star"], tubular["tiny blob"])
    assert min(tubular["star"], tubular["tiny blob"]) > 0.01 > 0.001 > tubular["disc"]
    assert irregular["star"] > 0.2 > 0.15 > irregular["vessel"]
    assert max(irregular["disc"], irregular["tiny blob"]) < 0.06
    assert size["disc"] > size["star"] > size["vessel"] > size["tiny blob"] > 0


def test_a_jagged_blob_is_more_irregular_than_a_disc_and_its_size_hardly_matters():
    irregular = describe_morphology(torch.cat([disc(60), disc(20), jagged_blob(60), jagged_blob(30)])).irregularity
    assert min(irregular[2:]) > 4 * max(irregular[:2])
    assert irregular[0] == pytest.approx(float(irregular[1]), abs=0.01)
    assert irregular[2] == pytest.approx(float(irregular[3]), abs=0.03)


def test_a_star_twice_as_large_is_the_same_star():
    large, small = (describe_morphology(star(outer)) for outer in (90, 45))
    assert large.compactness.item() == pytest.approx(small.compactness.item(), abs=0.03)
    assert large.irregularity.item() == pytest.approx(small.irregularity.item(), abs=0.03)


def test_several_equal_discs_are_as_regular_as_one():
    one = disc(20, 80)
    alone, four = describe_morphology(one), describe_morphology(one.repeat(1, 1, 2, 2))
    assert four.irregularity.item() == pytest.approx(alone.irregularity.item(), abs=0.01)
    assert four.compactness.item() == pytest.approx(alone.compactness.item() / 4, rel=0.02)


def test_real_vessels_are_tubular_and_real_polyps_compact():
    polyp, retina = describe_morphology(real_mask("polyp")), describe_morphology(real_mask("vessel"))
    assert retina.tubularity.item() > 0.3 > 0.02 > polyp.tubularity.item()
    assert polyp.compactness.item() > 0.7 > 0.05 > retina.compactness.item()
    assert retina.irregularity.item() > 1.5 * polyp.irregularity.item()


@pytest.mark.parametrize("radius", [5, 10, 20.5, 50, 90])
def test_a_rasterised_disc_is_round_at_any_size(radius: float):
    assert 0.97 <= compactness(disc(radius)).item() <= 1.0


@pytest.mark.parametrize("turn", [0.0, 0.2, 0.4, math.pi / 4])
def test_a_square_stays_a_square_however_it_is_turned(turn: float):
    assert compactness(square(80, turn)).item() == pytest.approx(math.pi / 4, abs=0.025)


def test_the_perimeter_is_a_length_in_pixels_and_flat_regions_add_nothing():
    rectangle = torch.zeros(1, 1, 60, 160)
    rectangle[..., 10:50, 20:140] = 1
    wide = torch.nn.functional.pad(rectangle, (200, 200, 200, 200))
    assert perimeter(rectangle).item() == pytest.approx(320, rel=0.01)
    assert perimeter(wide).item() == pytest.approx(perimeter(rectangle).item(), rel=1e-4)
    assert perimeter(torch.zeros(1, 1, 400, 400)).item() == pytest.approx(0, abs=1e-3)
    assert perimeter(torch.ones(1, 1, 40, 60)).item() == pytest.approx(200, rel=0.02)


def test_compactness_does_not_depend_on_how_sure_a_prediction_is():
    soft = torch.nn.functional.avg_pool2d(disc(40), 5, 1, 2)
    assert compactness(0.4 * soft).item() == pytest.approx(compactness(soft).item(), abs=0.02)
    assert compactness(torch.full((1, 1, 64, 64), 1e-3)).item() <= 1.0


@pytest.mark.parametrize("faintness", [0.0, 1e-8, 1e-4, 1e-2])
def test_the_compactness_of_a_nearly_empty_prediction_has_a_bounded_gradient(faintness: float):
    image = (faintness * torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))).requires_grad_()
    compactness(image).sum().backward()
    assert image.grad is not None
    assert image.grad.abs().max() < 10


@pytest.mark.parametrize(
    "masks",
    [
        pytest.param(lambda: real_mask("vessel", 160), id="vessel"),
        pytest.param(lambda: real_mask("polyp", 120), id="polyp"),
        pytest.param(lambda: jagged_blob(40), id="jagged"),
        pytest.param(lambda: (torch.rand(3, 2, 31, 54) < 0.9).float(), id="noise"),
        pytest.param(lambda: torch.ones(1, 1, 17, 9), id="full"),
        pytest.param(lambda: torch.zeros(1, 1, 8, 8), id="empty"),
    ],
)
def test_the_distance_skeleton_is_the_soft_skeleton_iterated_to_the_end(masks: Callable[[], Tensor]):
    torch.manual_seed(0)
    made = masks()
    torch.testing.assert_close(hard_skeleton(made), soft_skeleton(made), rtol=0, atol=0)


def test_the_soft_skeleton_thins_a_bar_to_its_middle_line():
    bar = torch.zeros(1, 1, 21, 61)
    bar[..., 6:15, 5:56] = 1
    skeleton = soft_skeleton(bar)
    assert skeleton[..., 10, 15:46].min() == 1
    assert skeleton[..., :10, 15:46].max() == 0 == skeleton[..., 11:, 15:46].max()
    assert soft_skeleton(bar, iterations=1)[..., 10, 15:46].max() == 0  # four erosions reach the middle


def test_the_soft_skeleton_is_differentiable():
    masks = torch.rand(1, 1, 12, 15, generator=torch.Generator().manual_seed(0)).requires_grad_()
    soft_skeleton(masks).sum().backward()
    assert masks.grad is not None
    assert masks.grad.isfinite().all()
    assert masks.grad.abs().sum() > 0


def test_each_sample_is_described_by_itself():
    batch = torch.cat([disc(60), torch.zeros(1, 1, SIDE, SIDE), vessel(), torch.ones(1, 1, SIDE, SIDE)])
    together = describe_morphology(batch)
    for index in range(len(batch)):
        alone = describe_morphology(batch[index : index + 1])
        for many, one in zip(together, alone, strict=True):
            torch.testing.assert_close(many[index : index + 1], one)


def test_descriptors_average_over_the_classes_that_occur():
    classes = torch.cat([disc(60), vessel(), torch.zeros(1, 1, SIDE, SIDE)], dim=1)
    both, round_one, thin_one = (describe_morphology(mask) for mask in (classes, disc(60), vessel()))
    for found, first, second in zip(both, round_one, thin_one, strict=True):
        torch.testing.assert_close(found, (first + second) / 2)


@pytest.mark.parametrize("shape", [(2, 1, 5, 5), (1, 3, 33, 20), (3, 1, 7, 64)])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.bool, torch.int64, torch.float16, torch.float64])
def test_descriptors_lie_between_0_and_1_whatever_the_mask(shape: tuple[int, ...], dtype: torch.dtype):
    generator = torch.Generator().manual_seed(0)
    for density in (0.0, 0.02, 0.5, 0.98, 1.0):
        found = describe_morphology((torch.rand(shape, generator=generator) < density).to(dtype))
        for values in found:
            assert values.shape == shape[:1]
            assert ((values >= 0) & (values <= 1)).all()
    assert all((values == 0).all() for values in describe_morphology(torch.zeros(shape, dtype=dtype)))


@pytest.mark.parametrize("shape", [(32, 32), (1, 32, 32), (0, 1, 32, 32), (1, 1, 4, 32)])
def test_wrong_shapes_are_refused(shape: tuple[int, ...]):
    with pytest.raises(ConfigurationError, match="has the shape"):
        describe_morphology(torch.zeros(shape))
    with pytest.raises(ConfigurationError, match="has the shape"):
        soft_skeleton(torch.zeros(shape))
