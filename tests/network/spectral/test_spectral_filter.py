"""The spectral filter's forms agree with its definition, whatever the sizes, and it is a full citizen of torch."""

from __future__ import annotations

import pytest
import torch

from s2m_edge.errors import ConfigurationError
from s2m_edge.network.spectral import (
    dft_spectral_filter,
    reference_spectral_filter,
    resample_filter,
    spectral_filter,
)

SIZES = [
    # height, width, K1, K2: odd, even, not square, K smaller than, equal to and larger than the map
    (176, 176, 32, 32),
    (88, 88, 32, 32),
    (44, 44, 32, 32),
    (22, 22, 22, 22),
    (11, 11, 11, 11),
    (13, 20, 7, 9),
    (20, 13, 8, 13),
    (13, 20, 13, 20),
    (8, 9, 12, 10),
    (5, 5, 6, 4),
    (6, 7, 6, 4),
    (4, 4, 5, 5),
    (3, 3, 4, 4),
    (2, 3, 2, 2),
    (1, 1, 1, 1),
]


def random_pair(height: int, width: int, rows: int, columns: int, dtype: torch.dtype = torch.float64):
    generator = torch.Generator().manual_seed(height * 1000 + width * 100 + rows * 10 + columns)
    x = torch.randn(2, 3, height, width, dtype=dtype, generator=generator)
    return x, torch.randn(3, rows, columns, dtype=dtype, generator=generator)


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_the_op_agrees_with_the_definition_in_float64_and_float32(sizes):
    x, weight = random_pair(*sizes)
    reference = reference_spectral_filter(x, weight)
    scale = reference.abs().max()
    assert (spectral_filter(x, weight) - reference).abs().max() <= 1e-13 * scale
    assert (spectral_filter(x.float(), weight.float()) - reference).abs().max() <= 1e-5 * scale
    assert (dft_spectral_filter(x, weight) - reference).abs().max() <= 1e-13 * scale


def test_random_sizes_agree_with_the_definition():
    generator = torch.Generator().manual_seed(7)
    for _ in range(40):
        height, width, rows, columns = torch.randint(1, 40, (4,), generator=generator).tolist()
        x, weight = random_pair(height, width, rows, columns)
        reference = reference_spectral_filter(x, weight)
        error = (spectral_filter(x.float(), weight.float()) - reference).abs().max()
        assert error <= 1e-5 * reference.abs().max(), (height, width, rows, columns)


def test_the_definition_is_the_papers_equation_written_out_by_hand():
    """Independent of fftshift and crops: the sum over kept frequencies, term by term."""
    x, weight = random_pair(6, 5, 4, 3)
    rows, columns = torch.arange(6.0, dtype=torch.float64), torch.arange(5.0, dtype=torch.float64)
    expected = torch.zeros_like(x)
    for i in range(4):
        for j in range(3):
            phase = 2 * torch.pi * (rows[:, None] * (i - 2) / 6 + columns[None, :] * (j - 1) / 5)
            wave = torch.polar(torch.ones_like(phase), phase)
            coefficient = (x * wave.conj()).sum(dim=(-2, -1), keepdim=True) / 30
            expected += (weight[:, i, j][None, :, None, None] * coefficient * wave).real
    assert torch.allclose(reference_spectral_filter(x, weight), expected, atol=1e-12)


def test_a_filter_of_ones_over_every_frequency_changes_nothing():
    x, _ = random_pair(9, 14, 1, 1)
    assert torch.allclose(spectral_filter(x, torch.ones(3, 9, 14, dtype=torch.float64)), x, atol=1e-12)


def test_only_the_kept_frequencies_pass():
    positions = torch.arange(64, dtype=torch.float64)
    slow = torch.cos(2 * torch.pi * 3 * positions / 64).expand(1, 1, 64, 64)
    fast = torch.cos(2 * torch.pi * 20 * positions / 64).expand(1, 1, 64, 64)
    kept = spectral_filter(slow + fast, torch.ones(1, 32, 32, dtype=torch.float64))
    assert torch.allclose(kept, slow, atol=1e-12)


def test_gradients_of_first_and_second_order_are_right():
    x, weight = random_pair(5, 6, 4, 7)
    x, weight = x[:, :2].clone().requires_grad_(), weight[:2].clone().requires_grad_()
    assert torch.autograd.gradcheck(spectral_filter, (x, weight))
    assert torch.autograd.gradgradcheck(spectral_filter, (x, weight))


def test_opcheck_passes_for_the_op_and_its_gradient():
    x, weight = torch.randn(2, 3, 8, 9, requires_grad=True), torch.randn(3, 4, 4, requires_grad=True)
    torch.library.opcheck(torch.ops.s2m_edge.spectral_filter.default, (x, weight))
    torch.library.opcheck(torch.ops.s2m_edge.spectral_filter_weight_gradient.default, (x, x.detach(), 4, 4))


def test_the_out_variant_writes_into_its_argument():
    x, weight = random_pair(8, 9, 4, 4)
    out = torch.empty(0, dtype=torch.float64)
    torch.ops.s2m_edge.spectral_filter.out(x, weight, out=out)
    assert torch.equal(out, spectral_filter(x, weight))


@pytest.mark.parametrize("dims", [(0, None), (None, 0), (0, 0), (2, 1)], ids=str)
def test_vmap_over_either_argument_equals_a_loop(dims):
    x = torch.randn(4, 2, 4, 7, 6) if dims[0] != 2 else torch.randn(2, 3, 4, 7, 6)
    weight = torch.randn(4, 3, 5, 5)
    if dims == (0, None):
        x, weight = torch.randn(4, 2, 3, 7, 6), torch.randn(3, 5, 5)
        expected = torch.stack([spectral_filter(item, weight) for item in x])
    elif dims == (None, 0):
        x = torch.randn(2, 3, 7, 6)
        expected = torch.stack([spectral_filter(x, item) for item in weight])
    elif dims == (0, 0):
        x = torch.randn(4, 2, 3, 7, 6)
        expected = torch.stack([spectral_filter(a, b) for a, b in zip(x, weight, strict=True)])
    else:
        weight = weight.movedim(0, 1)
        expected = torch.stack([spectral_filter(x.select(2, i), weight.select(1, i)) for i in range(4)])
    assert torch.allclose(torch.vmap(spectral_filter, in_dims=dims)(x, weight), expected, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_does_not_overflow_at_a_mean_of_100(dtype):
    x = (100 + torch.randn(1, 2, 176, 176)).to(dtype)
    weight = torch.ones(2, 32, 32)
    filtered = spectral_filter(x, weight)
    assert filtered.dtype == dtype
    assert torch.isfinite(filtered).all()
    assert (filtered.float().mean() - 100).abs() < 1


def test_the_op_stays_one_node_in_an_exported_graph():
    class Filter(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.randn(3, 4, 4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return spectral_filter(x, self.weight)

    program = torch.export.export(Filter(), (torch.randn(1, 3, 8, 8),))
    calls = [node for node in program.graph.nodes if node.op == "call_function"]
    assert [str(node.target) for node in calls] == ["s2m_edge.spectral_filter.default"]


@pytest.mark.parametrize(
    ("x", "weight", "word"),
    [
        (torch.randn(3, 8, 8), torch.randn(3, 4, 4), "axes"),
        (torch.randn(1, 3, 8, 8), torch.randn(2, 4, 4), "channels"),
        (torch.ones(1, 3, 8, 8, dtype=torch.int32), torch.randn(3, 4, 4), "floating"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(x, weight, word):
    with pytest.raises(ConfigurationError, match=word):
        spectral_filter(x, weight)


def test_resampling_a_filter_keeps_smooth_functions_of_frequency_and_equal_grids():
    weight = torch.randn(2, 32, 32)
    assert torch.equal(resample_filter(weight, 32), weight)
    frequency = (torch.arange(16) - 8) / 16
    smooth = (frequency[:, None] + 2 * frequency[None, :])[None]
    larger = (torch.arange(22) - 11) / 22
    expected = (larger[:, None] + 2 * larger[None, :])[None]
    inner = slice(0, 21)  # beyond the old grid's last frequency the value is held
    assert torch.allclose(resample_filter(smooth, 22)[:, inner, inner], expected[:, inner, inner], atol=1e-6)
    assert resample_filter(smooth, 8).shape == (1, 8, 8)
