"""Depthwise convolutions in training: the same function, the same gradients, only the kernel that sums them differs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from fuzzing import OTHER_VECTORS, SANITIZERS, find_wrong_shapes
from s2m_edge.native import find_cmake, find_compiler
from s2m_edge.train.kernels import FastDepthwise, depthwise, depthwise_convolution, enable, lacking, weight_gradient
from s2m_edge.train.kernels.depthwise import try_kernel
from s2m_edge.train.kernels.native import SWITCH, kernel_library
from support import ENCODER_STAGES, lively_network

SOURCE = kernel_library().source

needs_compiler = pytest.mark.skipif(
    find_compiler() is None or find_cmake() is None,
    reason="no C++ compiler or no CMake here: the kernel is not built",
)
# Batch, channels, height, width: the network's own at a small size, and what no vector and no kernel fits evenly.
SHAPES = [(2, 24, 32, 32), (1, 1, 1, 1), (2, 17, 3, 9), (1, 33, 8, 2), (3, 5, 1, 20), (0, 16, 8, 8)]


@pytest.fixture(autouse=True)
def enabled():
    if find_compiler() is not None and find_cmake() is not None:
        enable()


def operands(shape: tuple[int, int, int, int], size: int, seed: int = 0) -> tuple[torch.Tensor, ...]:
    """x, weight, bias and upstream gradient, float32."""
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *sides: torch.randn(*sides, generator=generator)  # noqa: E731
    return draw(*shape), draw(shape[1], 1, size, size), draw(shape[1]), draw(*shape)


def exact_gradients(x, weight, bias, upstream) -> list[torch.Tensor]:
    """PyTorch's own, in float64."""
    wide = [tensor.detach().double().requires_grad_() for tensor in (x, weight, bias)]
    y = F.conv2d(*wide, padding=weight.shape[-1] // 2, groups=x.shape[1])
    return list(torch.autograd.grad(y, wide, upstream.double()))


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    if expected.numel() == 0:
        return float(found.numel())
    return ((found.double() - expected).abs().max() / expected.abs().max().clamp(min=1e-6)).item()


@needs_compiler
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("size", [5, 7])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_kernel_sums_the_weight_gradient_of_any_shape(shape, size: int, layout: torch.memory_format):
    x, weight, bias, upstream = operands(shape, size)
    found = try_kernel(x.contiguous(memory_format=layout), upstream.contiguous(memory_format=layout), size)
    assert found is not None
    assert found.shape == weight.shape
    assert relative_error(found, exact_gradients(x, weight, bias, upstream)[1]) < 2e-6


@needs_compiler
def test_it_reads_bfloat16_without_rounding_again():
    x, weight, bias, upstream = (tensor.bfloat16() for tensor in operands((2, 24, 32, 32), 7))
    found = try_kernel(x, upstream, 7)
    assert found is not None
    assert found.dtype == torch.float32
    assert relative_error(found, exact_gradients(x, weight, bias, upstream)[1]) < 2e-6


@needs_compiler
def test_the_sum_does_not_depend_on_how_many_threads_take_part():
    x, _, _, upstream = operands((2, 70, 12, 12), 7)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = weight_gradient(x, upstream, 7)
        torch.set_num_threads(3)
        assert torch.equal(weight_gradient(x, upstream, 7), alone)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("size", [3, 5, 7])
def test_forward_is_conv2d_and_every_gradient_its_own(size: int):
    x, weight, bias, upstream = operands((2, 24, 16, 20), size)
    leaves = [tensor.requires_grad_() for tensor in (x, weight, bias)]
    y = depthwise_convolution(x, weight, bias)
    assert torch.equal(y, F.conv2d(x, weight, bias, padding=size // 2, groups=24))
    for found, expected in zip(
        torch.autograd.grad(y, leaves, upstream), exact_gradients(x, weight, bias, upstream), strict=True
    ):
        assert relative_error(found, expected) < 2e-6


@needs_compiler
def test_under_autocast_the_result_is_the_same_and_the_weights_gradient_closer_to_the_truth():
    x, weight, bias, upstream = operands((2, 24, 32, 32), 7)
    leaves = [weight.requires_grad_(), bias.requires_grad_()]
    with torch.autocast("cpu", torch.bfloat16):
        ours = depthwise_convolution(x, weight, bias)
        theirs = F.conv2d(x, weight, bias, padding=3, groups=24)
    assert ours.dtype == torch.bfloat16
    assert torch.equal(ours, theirs)
    truth = exact_gradients(x.bfloat16(), weight, bias, upstream.bfloat16())[1:]
    errors = [
        [relative_error(*pair) for pair in zip(torch.autograd.grad(y, leaves, upstream.bfloat16()), truth, strict=True)]
        for y in (ours, theirs)
    ]
    assert max(errors[0]) < 2e-6 < 1e-4 < errors[1][0], "PyTorch rounds the gradient to bfloat16"


@needs_compiler
def test_a_networks_gradients_stay_what_they_were():
    network = lively_network(96).train().requires_grad_(True)
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    image = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))

    def gradients(fast: bool) -> dict[str, torch.Tensor]:
        network.zero_grad()
        if fast:
            with FastDepthwise():
                loss = network(image).square().mean()
        else:
            loss = network(image).square().mean()
        loss.backward()
        return {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}

    plain, ours = gradients(False), gradients(True)
    assert plain.keys() == ours.keys()
    largest = max(gradient.abs().max() for gradient in plain.values())
    for name, gradient in plain.items():
        assert (ours[name] - gradient).abs().max() <= 1e-4 * largest, name


class Calls:
    """Counts what reaches our convolution."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sizes: list[int] = []
        original = depthwise.try_kernel

        def counted(x, upstream, size):
            self.sizes.append(size)
            return original(x, upstream, size)

        monkeypatch.setattr(depthwise, "try_kernel", counted)


@needs_compiler
def test_within_the_mode_the_networks_kernels_of_five_and_seven_are_ours(monkeypatch: pytest.MonkeyPatch):
    calls = Calls(monkeypatch)
    network = lively_network(96).train().requires_grad_(True)
    with FastDepthwise():
        network(torch.rand(2, 3, 96, 96)).mean().backward()
    assert sorted(calls.sizes) == [5] * ENCODER_STAGES + [7] * ENCODER_STAGES


@needs_compiler
@pytest.mark.parametrize(
    "arguments",
    [
        {"stride": 2, "padding": 2},
        {"padding": 1},
        {"padding": 4, "dilation": 2},
        {"padding": (2, 0)},
        {"padding": "same"},
        {"padding": 2, "groups": 4},
    ],
)
def test_another_convolution_is_left_alone(monkeypatch: pytest.MonkeyPatch, arguments: dict):
    calls = Calls(monkeypatch)
    arguments = {"groups": 8, **arguments}
    x, weight = torch.rand(1, 8, 9, 9), torch.rand(8, 8 // arguments["groups"], 5, 5, requires_grad=True)
    with FastDepthwise():
        found = F.conv2d(x, weight, **arguments)
        found.sum().backward()
    assert torch.equal(found, F.conv2d(x, weight, **arguments))
    assert calls.sizes == []


@needs_compiler
@pytest.mark.parametrize("off", ["switch", "frozen", "no gradients"])
def test_nothing_is_ours_where_it_cannot_help(monkeypatch: pytest.MonkeyPatch, off: str):
    if off == "switch":
        monkeypatch.setenv(SWITCH, "0")
        assert not enable()
    weight = torch.rand(8, 1, 5, 5, requires_grad=off != "frozen")
    with FastDepthwise(), torch.set_grad_enabled(off != "no gradients"):
        found = F.conv2d(torch.rand(1, 8, 9, 9, requires_grad=True), weight, padding=2, groups=8)
    assert found.grad_fn is None or "Depthwise" not in type(found.grad_fn).__name__


def test_without_the_kernel_pytorchs_gradient_is_used(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(SWITCH, "0")
    x, weight, bias, upstream = operands((2, 24, 16, 16), 7)
    assert try_kernel(x, upstream, 7) is None
    found = weight_gradient(x, upstream, 7)
    assert relative_error(found, exact_gradients(x, weight, bias, upstream)[1]) < 2e-6


def test_without_a_compiler_a_user_hears_what_it_costs(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("S2M_EDGE_CACHE", "/nonexistent")
    monkeypatch.delenv(SWITCH, raising=False)
    monkeypatch.setattr("s2m_edge.native.find_compiler", lambda: None)
    assert lacking().startswith("training takes about")
    assert "no C++ compiler" in lacking()
    monkeypatch.setenv(SWITCH, "0")
    assert lacking() == "", "whoever left it out knows"


@needs_compiler
@pytest.mark.parametrize("flags", [pytest.param(SANITIZERS, id="sanitizers"), *OTHER_VECTORS])
def test_random_shapes_under_sanitizers_and_with_the_vectors_of_other_processors(flags: list[str], tmp_path: Path):
    find_wrong_shapes(SOURCE / "test" / "fuzz_weight_gradient.cpp", flags, 120, tmp_path, SOURCE)
