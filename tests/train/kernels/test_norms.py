"""BatchNorm with its ELU in training: the function and the gradients of both, from one operation."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fuzzing import OTHER_VECTORS, SANITIZERS, find_wrong_shapes
from s2m_edge.native import find_cmake, find_compiler
from s2m_edge.train.kernels import FastNorms, batch_norm_elu, enable, norms, training_kernels
from s2m_edge.train.kernels.native import SWITCH, kernel_library
from s2m_edge.train.kernels.norms import norms_with_elu
from support import ENCODER_STAGES, lively_network

SOURCE = kernel_library().source

needs_compiler = pytest.mark.skipif(
    find_compiler() is None or find_cmake() is None,
    reason="no C++ compiler or no CMake here: the kernels are not built",
)
SHAPES = [(2, 24, 32, 32), (2, 17, 3, 9), (1, 33, 8, 2), (3, 5, 1, 20), (4, 96, 40, 40)]


@pytest.fixture(autouse=True)
def enabled(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(norms, "SMALLEST", 0)  # tests have small maps
    if find_compiler() is not None and find_cmake() is not None:
        enable()


def a_norm(channels: int, seed: int = 0) -> nn.BatchNorm2d:
    generator = torch.Generator().manual_seed(seed)
    norm = nn.BatchNorm2d(channels)
    with torch.no_grad():
        norm.weight.uniform_(-1.0, 2.0, generator=generator)
        norm.bias.uniform_(-1.0, 1.0, generator=generator)
    return norm.train()


def answers(run, norm: nn.BatchNorm2d, x: torch.Tensor, upstream: torch.Tensor) -> dict[str, torch.Tensor]:
    """Result, gradients and running statistics of a run."""
    leaf = x.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    y = run(norm, leaf)
    for_x, for_weight, for_bias = torch.autograd.grad(y, (leaf, norm.weight, norm.bias), upstream)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    running = {"mean": norm.running_mean.clone(), "variance": norm.running_var.clone()}
    return {"y": y.detach(), "x": for_x, "weight": for_weight, "bias": for_bias, **running}


def pytorch(norm: nn.BatchNorm2d, x: torch.Tensor) -> torch.Tensor:
    return F.elu(norm(x))


def error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return ((found.double() - expected.double()).abs().max() / expected.double().abs().max().clamp(min=1e-6)).item()


@needs_compiler
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("shape", SHAPES)
def test_result_gradients_and_running_statistics_are_those_of_norm_and_elu(shape, layout: torch.memory_format):
    generator = torch.Generator().manual_seed(1)
    x = (3.0 + 2.0 * torch.randn(*shape, generator=generator)).contiguous(memory_format=layout)
    upstream = torch.randn(*shape, generator=generator).contiguous(memory_format=layout)
    norm = a_norm(shape[1])
    exact = answers(pytorch, copy.deepcopy(norm).double(), x.double(), upstream.double())
    found = answers(batch_norm_elu, norm, x, upstream)
    assert norm.num_batches_tracked == 1
    for name, expected in exact.items():
        assert error(found[name], expected) < 2e-6, name


@needs_compiler
def test_a_mean_far_from_zero_costs_no_digits():
    """A sum of squares would have lost them all: 1000 +- 0.1 in float32."""
    x = 1000.0 + 0.1 * torch.randn(2, 8, 40, 40, generator=torch.Generator().manual_seed(2))
    norm = a_norm(8)
    exact = answers(pytorch, copy.deepcopy(norm).double(), x.double(), torch.ones_like(x).double())
    found = answers(batch_norm_elu, norm, x, torch.ones_like(x))
    assert error(found["variance"], exact["variance"]) < 1e-6
    assert error(found["y"], exact["y"]) < 1e-3, "the mean itself is rounded to float32"


@needs_compiler
def test_bfloat16_is_rounded_once():
    generator = torch.Generator().manual_seed(3)
    x, upstream = (torch.randn(2, 24, 32, 32, generator=generator).bfloat16() for _ in range(2))
    norm = a_norm(24)
    exact = answers(pytorch, copy.deepcopy(norm).double(), x.double(), upstream.double())
    found = answers(batch_norm_elu, norm, x, upstream)
    assert found["y"].dtype == found["x"].dtype == torch.bfloat16
    for name in ("y", "x"):  # half a step of eight bits, of the value itself
        expected = exact[name]
        assert ((found[name].double() - expected).abs() <= expected.abs() * 2**-8 + 1e-6).all(), name
    assert max(error(found[name], exact[name]) for name in ("weight", "bias", "mean", "variance")) < 2e-6


@needs_compiler
def test_the_answer_does_not_depend_on_how_many_threads_take_part():
    generator = torch.Generator().manual_seed(4)
    x, upstream = (torch.randn(2, 70, 12, 12, generator=generator) for _ in range(2))
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = answers(batch_norm_elu, a_norm(70), x, upstream)
        torch.set_num_threads(3)
        together = answers(batch_norm_elu, a_norm(70), x, upstream)
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(value, together[name]) for name, value in alone.items())


@needs_compiler
def test_a_network_trains_as_it_did_and_is_what_it_was():
    network = lively_network(96).train().requires_grad_(True)
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    twin, exact = copy.deepcopy(network), copy.deepcopy(network).double()
    image = torch.rand(4, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    assert len(list(norms_with_elu(network))) >= 5 * ENCODER_STAGES
    with training_kernels(network):
        network(image).square().mean().backward()
    twin(image).square().mean().backward()
    exact(image.double()).square().mean().backward()
    assert all("forward" not in vars(module) for module in network.modules())
    errors = [float((gradients(each) - gradients(exact)).norm() / gradients(exact).norm()) for each in (network, twin)]
    assert max(errors) < 5e-3, "rounding, which the smallest maps' norms enlarge: PyTorch's own is up to 7e-4 too"
    for name, expected in exact.state_dict().items():
        assert torch.allclose(network.state_dict()[name].double(), expected.double(), rtol=1e-3, atol=1e-5), name


def gradients(network: nn.Module) -> torch.Tensor:
    """Of all parameters, one behind the other, float64."""
    found = [parameter.grad.flatten().double() for parameter in network.parameters() if parameter.grad is not None]
    return torch.cat(found)


@needs_compiler
@pytest.mark.parametrize("case", ["evaluation", "no gradients", "switch", "float64", "one value"])
def test_pytorchs_own_runs_where_the_kernel_does_not_apply(case: str, monkeypatch: pytest.MonkeyPatch):
    block = nn.Sequential(a_norm(4), nn.ELU())
    x = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(5))
    if case == "switch":
        monkeypatch.setenv(SWITCH, "0")
    if case == "float64":
        block, x = block.double(), x.double()
    block.train(case != "evaluation")
    expected = copy.deepcopy(block)
    with FastNorms(block), torch.set_grad_enabled(case != "no gradients"):
        if case == "one value":
            with pytest.raises(ValueError, match="more than 1 value per channel"):
                block(torch.randn(1, 4, 1, 1))
            return
        found = block(x)
    assert torch.equal(found, expected(x))


@needs_compiler
@pytest.mark.parametrize(("smallest", "ours"), [(16 * 4 * 36, True), (16 * 4 * 36 + 1, False)])
def test_small_maps_are_left_to_pytorch(smallest: int, ours: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(norms, "SMALLEST", smallest)
    block = nn.Sequential(a_norm(4), nn.ELU())
    with FastNorms(block):
        found = block(torch.randn(16, 4, 6, 6))
    assert ("NormElu" in type(found.grad_fn).__name__) == ours


@needs_compiler
def test_what_is_no_plain_pair_is_left_alone():
    heard = a_norm(4)
    heard.register_forward_hook(lambda module, given, found: None)
    others = [
        nn.Sequential(a_norm(4), nn.ELU(alpha=0.5)),
        nn.Sequential(a_norm(4), nn.ReLU(), nn.ELU()),
        nn.Sequential(nn.SyncBatchNorm(4), nn.ELU()),
        nn.Sequential(nn.BatchNorm2d(4, affine=False), nn.ELU()),
        nn.Sequential(nn.BatchNorm2d(4, momentum=None), nn.ELU()),
        nn.Sequential(heard, nn.ELU()),
    ]
    assert list(norms_with_elu(nn.ModuleList(others))) == []


@needs_compiler
@pytest.mark.parametrize("flags", [pytest.param(SANITIZERS, id="sanitizers"), *OTHER_VECTORS])
def test_random_shapes_under_sanitizers_and_with_the_vectors_of_other_processors(flags: list[str], tmp_path: Path):
    find_wrong_shapes(SOURCE / "test" / "fuzz_norm_elu.cpp", flags, 60, tmp_path, SOURCE)
