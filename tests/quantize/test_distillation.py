"""Fine-tuning towards the float network: what learns, and at which rate."""

from __future__ import annotations

import pytest
import torch

from s2m_edge.network.fake_quantized import activation_quantizers, quantized_network
from s2m_edge.quantize.agreement import mean_dice
from s2m_edge.quantize.distillation import SCALE_RATE, ZERO_POINT_RATE, DistillingModule
from s2m_edge.train.recipe import Phase, read_recipe


def test_the_teacher_is_left_as_it_was(small_model):
    was_training, required = small_model.training, [p.requires_grad for p in small_model.parameters()]
    module = DistillingModule(
        read_recipe("polyp"), Phase(96, 1, 2, 1e-5), quantized_network(small_model), small_model, share=1.0
    )
    assert module.teacher() is not small_model
    assert small_model.training == was_training
    assert [p.requires_grad for p in small_model.parameters()] == required
    assert all(p.is_contiguous() for p in small_model.parameters()), "the caller's weights changed their memory format"


def test_ranges_are_learned_at_their_own_rates_and_the_teacher_is_no_part_of_the_module(small_model):
    network = quantized_network(small_model).requires_grad_(True)
    phase = Phase(96, 1, 2, 1e-5)
    module = DistillingModule(read_recipe("polyp"), phase, network, small_model, share=1.0)
    learned = [entry for _, entry in activation_quantizers(network) if entry.learned is not None]
    groups = {group.get("lr", phase.learning_rate): group["params"] for group in module.parameter_groups()}
    assert len(groups[1e-5 * SCALE_RATE]) == len(groups[1e-5 * ZERO_POINT_RATE]) == len(learned) > 50
    every = [id(parameter) for group in module.parameter_groups() for parameter in group["params"]]
    assert len(every) == len(set(every)) == len(list(module.parameters()))
    assert not [name for name in module.state_dict() if "teacher" in name]


def test_a_step_moves_the_loss_and_all_that_learns_has_a_gradient(small_model):
    network = quantized_network(small_model).requires_grad_(True)
    for _, quantizer in activation_quantizers(network):
        if quantizer.fixed is None:
            quantizer.set_range(-4.0, 4.0)
    image = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(3))
    batch = {"image": image, "mask": (image[:, :1] > 0.5).float()}
    losses = {}
    for share in (0.0, 0.5, 1.0):
        module = DistillingModule(read_recipe("polyp"), Phase(96, 1, 2, 1e-5), network, small_model, share)
        losses[share] = module.training_loss(batch)
    assert float(losses[0.5]) == pytest.approx((float(losses[0.0]) + float(losses[1.0])) / 2, rel=1e-4)
    losses[1.0].backward()
    without = [name for name, parameter in network.named_parameters() if parameter.grad is None]
    assert not [name for name in without if "boundary" not in name]


@pytest.mark.parametrize(("share", "shown"), [(1.0, False), (0.5, True)])
def test_weights_of_a_loss_that_takes_no_part_are_not_shown(small_model, share, shown):
    recipe = read_recipe("polyp")
    assert recipe.loss == "masl"
    module = DistillingModule(recipe, Phase(96, 1, 2, 1e-5), quantized_network(small_model), small_model, share)
    assert bool(module.loss_figures()) is shown


def test_dice_is_over_the_classes_that_occur():
    truth = torch.tensor([[0, 1, 1, 2]])
    assert mean_dice(truth, truth) == 1.0
    assert mean_dice(torch.tensor([[0, 1, 0, 0]]), truth) == pytest.approx((2 / 3 + 0) / 2)
    assert mean_dice(torch.zeros(1, 4), torch.zeros(1, 4)) == 1.0
