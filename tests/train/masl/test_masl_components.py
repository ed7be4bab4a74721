"""The five components are what their definitions say, and behave on every mask."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from s2m_edge.errors import ConfigurationError
from s2m_edge.train.masl import boundary_loss, core_loss, scale_loss, structure_loss, texture_loss
from s2m_edge.train.masl.morphology import compactness

Loss = Callable[[Tensor, Tensor], Tensor]
ALL: list[Loss] = [core_loss, boundary_loss, structure_loss, scale_loss, texture_loss]
PIXELWISE: list[Loss] = [core_loss, scale_loss]
each_component = pytest.mark.parametrize("loss", ALL, ids=lambda loss: loss.__name__)


def blob_and_guess(batch: int = 2, classes: int = 1, height: int = 24, width: int = 19) -> tuple[Tensor, Tensor]:
    """Probabilities, and masks with one rectangle each, which differs between samples and classes."""
    generator = torch.Generator().manual_seed(classes)
    target = torch.zeros(batch, classes, height, width)
    for sample in range(batch):
        for index in range(classes):
            target[sample, index, 2 + sample : 12 + index, 3 + index : 11 + sample] = 1
    return 0.05 + 0.9 * torch.rand(target.shape, generator=generator), target


def test_core_is_dice_iou_and_cross_entropy_near_the_boundary():
    p, y = blob_and_guess(batch=1)
    mask = y[0, 0].numpy() > 0
    band = np.zeros_like(mask)
    for row, column in np.ndindex(mask.shape):
        window = mask[max(row - 2, 0) : row + 3, max(column - 2, 0) : column + 3]
        band[row, column] = window.any() and not window.all()
    weight = torch.from_numpy(1 + 5 * band.astype(np.float32))[None, None]
    common, p_sum, y_sum = (p * y).sum(), p.sum(), y.sum()
    expected = 0.4 * (1 - 2 * common / (p_sum + y_sum)) + 0.3 * (1 - common / (p_sum + y_sum - common))
    expected = expected + 0.3 * F.binary_cross_entropy(p, y, weight=weight)
    torch.testing.assert_close(core_loss(p, y), expected[None], rtol=1e-4, atol=0)


def test_boundary_compares_differences_at_three_distances():
    p, y = blob_and_guess(batch=1)
    a, b = p[0, 0].numpy(), y[0, 0].numpy()
    expected = 0.0
    for s, share in ((1, 0.5), (2, 0.3), (4, 0.2)):
        expected += share * np.abs((b[s:] - b[:-s]) - (a[s:] - a[:-s])).mean()
        expected += share * np.abs((b[:, s:] - b[:, :-s]) - (a[:, s:] - a[:, :-s])).mean()
    assert boundary_loss(p, y).item() == pytest.approx(float(expected), rel=1e-5)


def test_structure_is_the_difference_in_compactness():
    round_one, thin_one = torch.zeros(1, 1, 60, 60), torch.zeros(1, 1, 60, 60)
    round_one[..., 20:40, 20:40] = 1
    thin_one[..., 29:31, 5:55] = 1
    expected = compactness(round_one) - compactness(thin_one)
    torch.testing.assert_close(structure_loss(thin_one, round_one), expected[0])
    torch.testing.assert_close(structure_loss(round_one, thin_one), expected[0])


@pytest.mark.parametrize(("side", "gamma"), [(4, 3.0), (8, 2.0), (16, 1.5)])
def test_scale_is_a_focal_loss_whose_exponent_follows_the_size(side: int, gamma: float):
    y = torch.zeros(1, 1, 20, 20)
    y[..., :side, :side] = 1  # 4, 16 and 64 % of the picture
    p = 0.1 + 0.8 * torch.rand(y.shape, generator=torch.Generator().manual_seed(0))
    p_t = torch.where(y > 0, p, 1 - p)
    expected = (-((1 - p_t) ** gamma) * (p_t + 1e-6).log()).mean()
    torch.testing.assert_close(scale_loss(p, y), expected[None])


def test_texture_compares_second_differences():
    p, y = blob_and_guess(batch=1)
    a, b = p[0, 0].numpy(), y[0, 0].numpy()
    expected = sum(np.abs(np.diff(b, 2, axis) - np.diff(a, 2, axis)).mean() for axis in (0, 1))
    assert texture_loss(p, y).item() == pytest.approx(float(expected), rel=1e-5)


@each_component
def test_a_met_target_costs_nothing_and_a_missed_one_something(loss: Loss):
    _, y = blob_and_guess(batch=2)
    batch = torch.cat([y, torch.zeros_like(y), torch.ones_like(y)])
    assert loss(batch, batch).abs().max() < 1e-5
    assert (loss(torch.full_like(y, 0.5) + 0.2 * y.flip(-1), y) > 1e-3).all()


@each_component
def test_each_sample_has_its_own_value(loss: Loss):
    p, y = blob_and_guess(batch=3, classes=2)
    together = loss(p, y)
    assert together.shape == (3,)
    for index in range(3):
        torch.testing.assert_close(together[index : index + 1], loss(p[index : index + 1], y[index : index + 1]))


@each_component
def test_classes_are_averaged_over_those_that_occur(loss: Loss):
    p, y = blob_and_guess(classes=3)
    y[:, 1] = 0
    p[:, 1] = 0
    expected = (loss(p[:, :1], y[:, :1]) + loss(p[:, 2:], y[:, 2:])) / 2
    torch.testing.assert_close(loss(p, y), expected)


@pytest.mark.parametrize("loss", PIXELWISE, ids=lambda loss: loss.__name__)
def test_a_class_that_does_not_occur_must_not_be_predicted(loss: Loss):
    p, y = blob_and_guess(classes=2)
    y[:, 1] = 0
    p[:, 1] = 0
    silent = loss(p, y)
    p[:, 1, 15:20, 5:10] = 0.9
    p.requires_grad_()
    noisy = loss(p, y)
    assert (noisy > silent + 1e-3).all()
    assert (noisy < silent + 0.3).all()  # by the pixels alone: an absent class has no overlap, which would add 0.7
    (gradient,) = torch.autograd.grad(noisy.sum(), p)
    assert (gradient[:, 1, 15:20, 5:10] > 0).all()


@pytest.mark.parametrize("loss", PIXELWISE, ids=lambda loss: loss.__name__)
@pytest.mark.parametrize("classes", [1, 3])
def test_on_an_empty_mask_every_false_positive_is_pushed_down(loss: Loss, classes: int):
    p, _ = blob_and_guess(classes=classes)
    (gradient,) = torch.autograd.grad(loss(p.requires_grad_(), torch.zeros_like(p)).sum(), p)
    assert (gradient > 0).all()


@each_component
@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("density", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("shape", [(2, 1, 5, 9), (1, 2, 33, 16)])
def test_losses_and_gradients_are_finite_at_the_extremes(
    loss: Loss, value: float, density: float, shape: tuple[int, ...]
):
    y = (torch.rand(shape, generator=torch.Generator().manual_seed(0)) < density).float()
    p = torch.full(shape, value).requires_grad_()
    values = loss(p, y)
    (gradient,) = torch.autograd.grad(values.sum(), p)
    assert values.isfinite().all()
    assert (values >= 0).all()
    assert gradient.isfinite().all()


@each_component
def test_gradients_are_those_of_the_values(loss: Loss):
    p, y = blob_and_guess(classes=2, height=9, width=8)
    y[1, 1] = 0
    inputs = p.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda p: loss(p, y), (inputs,), eps=1e-6, atol=1e-6, rtol=1e-4)


@each_component
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_and_autocast_give_the_value_of_float32(loss: Loss, dtype: torch.dtype):
    p, y = blob_and_guess()
    half = p.to(dtype)
    expected = loss(half.float(), y)
    half.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        found = loss(half, y.to(dtype))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected)
    found.sum().backward()
    assert half.grad is not None
    assert half.grad.isfinite().all()


@each_component
def test_a_prediction_that_is_not_a_number_is_not_hidden(loss: Loss):
    p, y = blob_and_guess()
    p[0, 0, 4, 4] = float("nan")
    found = loss(p, y)
    assert found[0].isnan()
    assert found[1].isfinite()


@each_component
@pytest.mark.parametrize(
    ("probabilities", "target", "words"),
    [
        (torch.zeros(24, 24), torch.zeros(24, 24), r"probabilities has the shape \(24, 24\)"),
        (torch.zeros(2, 1, 24, 24), torch.zeros(2, 24, 24), r"target has the shape \(2, 24, 24\)"),
        (torch.zeros(2, 1, 24, 24), torch.zeros(2, 1, 12, 24), "target has the shape"),
        (torch.zeros(1, 1, 24, 4), torch.zeros(1, 1, 24, 4), "at least 5 pixels"),
        (torch.zeros(1, 1, 24, 24, dtype=torch.int64), torch.zeros(1, 1, 24, 24), "torch.int64"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(loss: Loss, probabilities: Tensor, target: Tensor, words: str):
    with pytest.raises(ConfigurationError, match=words) as refused:
        loss(probabilities, target)
    assert "\n" not in str(refused.value)
