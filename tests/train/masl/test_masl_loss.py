"""The loss weighs its components as defined, learns its weights within bounds, and trains."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from s2m_edge.errors import ConfigurationError
from s2m_edge.samples import sample_images, sample_mask
from s2m_edge.train.data.folders import read_binary_mask
from s2m_edge.train.masl import (
    MorphologyAwareLoss,
    boundary_loss,
    core_loss,
    describe_morphology,
    scale_loss,
    structure_loss,
    texture_loss,
)

FUNCTIONS = {
    "core": core_loss,
    "boundary": boundary_loss,
    "structure": structure_loss,
    "scale": scale_loss,
    "texture": texture_loss,
}
INITIAL = {"core": 1.0, "boundary": 1.0, "structure": 1.0, "scale": 0.5, "texture": 0.5}


def real_masks(size: int = 64) -> Tensor:
    """A polyp, vessels, a ventricle, a lesion, and nothing: 5 x 1 x size x size."""
    paths = [sample_mask(sample_images(kind)[0]) for kind in ("polyp", "vessel", "cardiac", "skin")]
    masks = [torch.from_numpy(read_binary_mask(path, size)) for path in paths]
    return torch.stack([*masks, torch.zeros_like(masks[0])])[:, None].float()


def guess(like: Tensor, channels: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(like.shape[0], channels, *like.shape[2:], generator=generator)


def test_the_loss_is_the_mean_of_each_samples_weighted_mean():
    target = real_masks()
    p = guess(target).sigmoid()
    c, tau, iota, _ = describe_morphology(target)
    a = {
        "core": 1 + 0.5 * c,
        "boundary": 1 + 1.5 * tau + c,
        "structure": 1 + tau,
        "scale": 1 + 1.5 * iota,
        "texture": 1 + iota,
    }
    above = torch.stack([INITIAL[name] * a[name] * FUNCTIONS[name](p, target) for name in INITIAL])
    below = torch.stack([INITIAL[name] * a[name] for name in INITIAL])
    torch.testing.assert_close(MorphologyAwareLoss()(p, target), (above.sum(dim=0) / below.sum(dim=0)).mean())


def test_without_modulation_the_mean_is_over_the_weights_alone():
    target = real_masks()
    p = guess(target).sigmoid()
    parts = MorphologyAwareLoss(modulation=False).forward_with_parts(p, target)
    weighted = torch.stack([INITIAL[name] * FUNCTIONS[name](p, target) for name in INITIAL])
    torch.testing.assert_close(parts.loss, (weighted.sum(dim=0) / sum(INITIAL.values())).mean())
    assert parts.morphology is None
    assert parts.loss != MorphologyAwareLoss()(p, target)


def test_components_can_be_left_out():
    target = real_masks()
    p = guess(target).sigmoid()
    loss = MorphologyAwareLoss(["texture", "core"], modulation=False)
    parts = loss.forward_with_parts(p, target)
    assert list(parts.components) == list(loss.weights()) == ["core", "texture"]
    for name, values in parts.components.items():
        torch.testing.assert_close(values, FUNCTIONS[name](p, target))
    torch.testing.assert_close(MorphologyAwareLoss("scale")(p, target), scale_loss(p, target).mean())


@pytest.mark.parametrize(("components", "words"), [(["core", "dice"], "'dice'"), ([], "no loss component")])
def test_an_unknown_component_is_refused_with_the_list_of_those_there_are(components: list[str], words: str):
    with pytest.raises(ConfigurationError, match=f"{words}.*core, boundary, structure, scale, texture"):
        MorphologyAwareLoss(components)


def test_weights_start_where_the_paper_starts_them():
    assert MorphologyAwareLoss().weights() == pytest.approx(INITIAL, rel=1e-6)


@pytest.mark.parametrize(("push", "bound"), [(-1e4, 0.1), (1e4, 10.0)])
def test_weights_stay_within_their_bounds_however_hard_they_are_pushed(push: float, bound: float):
    loss = MorphologyAwareLoss()
    with torch.no_grad():
        loss.weight_logits.fill_(push)
    weights = loss.weights()
    assert all(0.1 - 1e-7 <= weight <= 10.0 for weight in weights.values())
    assert weights["core"] == pytest.approx(bound)
    assert loss(guess(real_masks()).sigmoid(), real_masks()).isfinite()


def test_learned_weights_move_towards_the_smaller_components_and_fixed_ones_stay():
    target = real_masks()
    p = guess(target).sigmoid()
    learned, fixed = MorphologyAwareLoss(), MorphologyAwareLoss(learned_weights=False)
    optimizer = torch.optim.SGD(learned.parameters(), lr=1.0)
    parts = learned.forward_with_parts(p, target)
    parts.loss.backward()
    optimizer.step()
    means = {name: values.mean().item() for name, values in parts.components.items()}
    smallest, largest = min(means, key=means.__getitem__), max(means, key=means.__getitem__)
    weights = learned.weights()
    assert weights[smallest] > INITIAL[smallest]
    assert weights[largest] < INITIAL[largest]
    assert [parameter for parameter in fixed.parameters() if parameter.requires_grad] == []
    assert fixed.weights() == pytest.approx(INITIAL)


def test_the_state_returns_from_a_checkpoint():
    trained, fresh = MorphologyAwareLoss(), MorphologyAwareLoss()
    with torch.no_grad():
        trained.weight_logits.copy_(torch.linspace(-2, 2, 5))
    fresh.load_state_dict(trained.state_dict())
    assert fresh.weights() == trained.weights()
    assert fresh.weights() != MorphologyAwareLoss().weights()


def test_with_several_classes_the_background_is_no_class():
    labels = torch.zeros(2, 1, 40, 40)
    labels[0, 0, 5:20, 5:20], labels[0, 0, 25:35, 10:30], labels[1, 0, 10:30, 8:12] = 1, 2, 2
    p = guess(labels, channels=4).softmax(dim=1)
    masks = torch.cat([labels == index for index in (1, 2, 3)], dim=1)
    for dtype in (torch.float32, torch.uint8, torch.int64):
        parts = MorphologyAwareLoss().forward_with_parts(p, labels.to(dtype))
        for name, values in parts.components.items():
            torch.testing.assert_close(values, FUNCTIONS[name](p[:, 1:], masks))
    assert parts.morphology is not None
    torch.testing.assert_close(parts.morphology, describe_morphology(masks))


@pytest.mark.parametrize("channels", [1, 3])
def test_logits_learn_real_masks(channels: int):
    """Descent on the logits alone recovers the masks: no two components pull against each other for good."""
    target = real_masks(48)
    logits = (0.1 * guess(target, channels)).requires_grad_()
    loss = MorphologyAwareLoss(learned_weights=False)
    optimizer = torch.optim.Adam([logits], lr=0.3)

    def probabilities() -> Tensor:
        return logits.sigmoid() if channels == 1 else logits.softmax(dim=1)

    first = loss(probabilities(), target).item()
    for _ in range(60):
        optimizer.zero_grad()
        loss(probabilities(), target).backward()
        optimizer.step()
    found = probabilities()[:, :1] if channels == 1 else probabilities()[:, 1:2]
    assert loss(probabilities(), target).item() < 0.6 * first
    assert ((found > 0.5) == (target > 0.5)).float().mean() > 0.995


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast_changes_nothing_but_the_rounding_of_the_probabilities(dtype: torch.dtype):
    target = real_masks()
    logits = guess(target).requires_grad_()
    loss = MorphologyAwareLoss()
    expected = loss(logits.sigmoid().to(dtype).float(), target)
    with torch.autocast("cpu", torch.bfloat16):
        found = loss(logits.sigmoid().to(dtype), target)
    found.backward()
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected)
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("fill", [0.0, 1.0])
@pytest.mark.parametrize("mask", [0.0, 1.0])
def test_empty_and_full_masks_give_finite_losses_and_gradients(fill: float, mask: float):
    p = torch.full((2, 1, 33, 47), fill).requires_grad_()
    loss = MorphologyAwareLoss()
    value = loss(p, torch.full_like(p, mask))
    value.backward()
    assert value.isfinite()
    for gradient in (p.grad, loss.weight_logits.grad):
        assert gradient is not None
        assert gradient.isfinite().all()


@pytest.mark.parametrize(
    ("probabilities", "target", "words"),
    [
        (torch.zeros(2, 1, 16, 16), torch.full((2, 1, 16, 16), 255), "holds the value 255, and labels are 0 to 1"),
        (torch.full((1, 3, 16, 16), 1 / 3), torch.full((1, 1, 16, 16), 3), "holds the value 3, and labels are 0 to 2"),
        (torch.full((1, 3, 16, 16), 1 / 3), torch.full((1, 1, 16, 16), -1), "holds the value -1"),
        (torch.full((2, 1, 16, 16), -4.0), torch.zeros(2, 1, 16, 16), "after the sigmoid or softmax"),
        (torch.zeros(2, 3, 16, 16), torch.zeros(2, 3, 16, 16), "one channel of labels"),
        (torch.zeros(2, 1, 16, 16), torch.zeros(2, 1, 16, 17), r"\(2, 1, 16, 17\)"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(probabilities: Tensor, target: Tensor, words: str):
    with pytest.raises(ConfigurationError, match=words) as refused:
        MorphologyAwareLoss()(probabilities, target)
    assert "\n" not in str(refused.value)
