"""The native kernel computes the definition, for any shape, safely, and only where somebody wanted it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from fuzzing import OTHER_VECTORS, SANITIZERS, THREAD_SANITIZER, find_wrong_shapes
from s2m_edge.deploy.golden import reference_logits
from s2m_edge.errors import NativeBuildError
from s2m_edge.native import KERNEL_FOLDER, find_cmake, find_compiler
from s2m_edge.network.spectral import dft_spectral_filter, kernel, reference_spectral_filter, spectral_filter
from support import SPECTRAL_STAGES, lively_network, network_preprocessing

COMPILER = find_compiler()

pytestmark = pytest.mark.skipif(
    COMPILER is None or find_cmake() is None, reason="no C++ compiler or no CMake here: the kernel cannot be built"
)

# Encoder stages of the network at 352: channels, height = width, kept frequencies.
STAGES = [(24, 176, 32), (32, 88, 32), (64, 44, 32), (80, 22, 22), (128, 11, 11)]
ODD_SHAPES = [
    ((1, 1, 1, 1), (1, 1)),
    ((2, 3, 1, 9), (4, 4)),
    ((1, 2, 7, 1), (32, 32)),
    ((2, 2, 3, 5), (8, 2)),
    ((1, 2, 33, 20), (32, 5)),
    ((1, 1, 16, 16), (16, 16)),
    ((1, 1, 17, 15), (32, 32)),
    ((3, 1, 40, 100), (31, 32)),
    ((0, 2, 8, 8), (4, 4)),
]


@pytest.fixture(scope="module", autouse=True)
def enabled():
    kernel.enable()


def worst_error(found: torch.Tensor, x: torch.Tensor, weight: torch.Tensor) -> float:
    if x.numel() == 0:
        return float(found.numel())
    expected = reference_spectral_filter(x.double(), weight.double())
    return ((found.double() - expected).abs().max() / expected.abs().max().clamp(min=1)).item()


@pytest.mark.parametrize(("channels", "size", "kept"), STAGES)
def test_it_computes_the_definition_at_every_stage(channels: int, size: int, kept: int):
    generator = torch.Generator().manual_seed(size)
    x = torch.randn(2, channels, size, size, generator=generator)
    weight = torch.randn(channels, kept, kept, generator=generator)
    before = kernel.kernel_calls()
    assert worst_error(spectral_filter(x, weight), x, weight) < 1e-6
    assert kernel.kernel_calls() == before + 1, "something else computed it"


@pytest.mark.parametrize(("shape", "filter_shape"), ODD_SHAPES)
def test_it_computes_the_definition_at_the_edges_of_what_shapes_there_are(shape, filter_shape):
    x, weight = torch.randn(shape), torch.randn(shape[1], *filter_shape)
    assert worst_error(spectral_filter(x, weight), x, weight) < 2e-6


def test_it_computes_the_definition_on_random_shapes():
    random = np.random.default_rng(5)
    for _ in range(120):
        batch, channels, height, width = (int(random.integers(1, most)) for most in (3, 4, 80, 80))
        rows, columns = (int(random.integers(1, 40)) for _ in range(2))
        x, weight = torch.randn(batch, channels, height, width), torch.randn(channels, rows, columns)
        error = worst_error(spectral_filter(x, weight), x, weight)
        assert error < 2e-6, f"{tuple(x.shape)}, filter {rows} x {columns}: {error}"


def test_half_precision_is_rounded_once_at_the_end():
    x, weight = torch.randn(1, 8, 60, 44).half(), torch.randn(8, 32, 32)
    before = kernel.kernel_calls()
    found = spectral_filter(x, weight)
    assert kernel.kernel_calls() == before + 1
    assert found.dtype == torch.float16
    exact = reference_spectral_filter(x.double(), weight.double())
    assert (found.double() - exact).abs().max() <= exact.abs().max() * 2**-11 * 1.01


def test_strided_inputs_and_filters_are_taken_as_they_are_meant():
    x = torch.randn(2, 30, 20, 6).permute(0, 3, 1, 2)  # channels last
    weight = torch.randn(6, 16, 12).transpose(1, 2)
    found = spectral_filter(x, weight)
    assert worst_error(found, x, weight) < 2e-6
    assert found.is_contiguous()


def test_gradients_through_it_are_those_of_the_matrix_form():
    x, weight = torch.randn(1, 3, 20, 24), torch.randn(3, 8, 8)
    gradients = []
    for function in (spectral_filter, dft_spectral_filter):
        one, other = x.clone().requires_grad_(), weight.clone().requires_grad_()
        function(one, other).pow(2).sum().backward()
        assert one.grad is not None
        assert other.grad is not None
        gradients.append((one.grad, other.grad))
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_double_precision_and_a_thread_that_asks_for_it_stay_with_the_matrix_form(monkeypatch: pytest.MonkeyPatch):
    x, weight = torch.randn(1, 2, 16, 16), torch.randn(2, 8, 8)
    before = kernel.kernel_calls()
    spectral_filter(x.double(), weight.double())
    with kernel.matrix_form():
        spectral_filter(x, weight)
        assert not kernel.is_enabled()
    monkeypatch.setenv(kernel.SWITCH, "0")
    spectral_filter(x, weight)
    assert kernel.kernel_calls() == before
    monkeypatch.delenv(kernel.SWITCH)
    spectral_filter(x, weight)
    assert kernel.kernel_calls() == before + 1


def test_the_reference_never_runs_through_it_and_the_network_gives_the_same_answer():
    model = lively_network(size=96)
    preprocessing = network_preprocessing(model)
    picture = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    before = kernel.kernel_calls()
    reference = reference_logits(model, picture, preprocessing)
    assert kernel.kernel_calls() == before
    image = torch.from_numpy(picture.transpose(2, 0, 1)[None].astype(np.float32) / np.float32(255))
    with torch.inference_mode():
        native = model(image)[0]
    assert kernel.kernel_calls() == before + len(SPECTRAL_STAGES), "one call for each filter"
    assert (native.sigmoid() - torch.from_numpy(reference).sigmoid()).abs().max() < 1e-5


def test_several_threads_of_pytorchs_pool_give_the_same_bits_as_one():
    x, weight = torch.randn(2, 7, 40, 33), torch.randn(7, 16, 12)
    threads, found = torch.get_num_threads(), []
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            found.append(spectral_filter(x, weight))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(*found)


def test_callers_on_several_threads_at_once_each_get_their_own_answer():
    generator = torch.Generator().manual_seed(3)
    pairs = [
        (torch.randn(1, 4, size, 60 - size, generator=generator), torch.randn(4, 20, 9, generator=generator))
        for size in range(8, 40)
    ]
    alone = [spectral_filter(*pair) for pair in pairs]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda pair: spectral_filter(*pair), pairs * 3))
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(together, alone * 3, strict=True))


def test_a_filter_on_another_device_is_left_to_torch():
    assert kernel.try_kernel(torch.randn(1, 2, 8, 8), torch.randn(2, 4, 4, device="meta")) is None


def test_a_process_that_finds_no_built_library_compiles_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("S2M_EDGE_CACHE", str(tmp_path / "empty"))
    monkeypatch.setattr(kernel, "_loaded", kernel._Loaded())
    x, weight = torch.randn(1, 2, 8, 8), torch.randn(2, 4, 4)
    assert torch.equal(spectral_filter(x, weight), dft_spectral_filter(x, weight))
    assert not kernel.is_enabled()
    assert not (tmp_path / "empty").exists()


def test_a_damaged_library_is_named_with_what_to_do_at_every_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    damaged = tmp_path / "libdamaged.so"
    damaged.write_bytes(b"no library")
    monkeypatch.setattr(kernel, "find_library", lambda library: damaged)
    monkeypatch.setattr(kernel, "_loaded", kernel._Loaded())
    for _ in range(2):
        with pytest.raises(NativeBuildError, match=r"libdamaged\.so does not load .* S2M_EDGE_KERNEL=0") as caught:
            spectral_filter(torch.randn(1, 2, 8, 8), torch.randn(2, 4, 4))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "flags",
    [pytest.param(SANITIZERS, id="addresses, undefined behaviour"), pytest.param(THREAD_SANITIZER, id="threads")],
)
def test_random_shapes_under_sanitizers(flags: list[str], tmp_path: Path):
    """The program also counts allocations, keeps guard values around every tensor, and runs many threads at once."""
    find_wrong_shapes(KERNEL_FOLDER / "test" / "fuzz.cpp", flags, 200, tmp_path)


@pytest.mark.parametrize("flags", OTHER_VECTORS)
def test_random_shapes_with_the_vectors_of_other_processors(flags: list[str], tmp_path: Path):
    find_wrong_shapes(KERNEL_FOLDER / "test" / "fuzz.cpp", flags, 150, tmp_path)
