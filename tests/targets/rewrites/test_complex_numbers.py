"""A network that computes in complex numbers is one in real numbers for the runtimes, and gives the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from networks import global_filter, plain_u_net
from s2m_edge.errors import LoweringError
from s2m_edge.targets.rewrites.complex_numbers import in_real_numbers
from s2m_edge.targets.rewrites.watch import calls_of

NORMALISATIONS = ("backward", "ortho", "forward")
SIZES = [(8, 6), (7, 5), (6, 9)]


class Function(nn.Module):
    """Any function of a picture, with one complex and one real tensor of its own."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(2)
        self.function = function
        self.own = nn.Parameter(torch.randn(4, 6, 8, dtype=torch.cfloat, generator=generator))
        self.register_buffer("real", torch.randn(4, 6, 8, generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, self)


def picture(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def require_equal(network: nn.Module, image: Tensor) -> nn.Module:
    """The network in real numbers, which gives the same, also when it is exported, and holds nothing complex."""
    with torch.no_grad():
        expected = network(image)
    found = in_real_numbers(network, image)
    assert not calls_of(found, image).complex_numbers
    program = torch.export.export(found, (image,)).run_decompositions({})
    kept = [*program.state_dict.values(), *program.constants.values()]
    assert not any(isinstance(value, Tensor) and value.is_complex() for value in kept)
    with torch.no_grad():
        for result in (found(image), program.module()(image)):
            torch.testing.assert_close(result, expected, atol=2e-5, rtol=2e-5)
    return found


def parts(x: Tensor) -> Tensor:
    return torch.cat((x.real, x.imag), 1)


@pytest.mark.parametrize(("size", "norm"), list(zip(SIZES, NORMALISATIONS, strict=True)), ids=str)
def test_every_transform_and_its_inverse(size: tuple[int, int], norm: str):
    fft = torch.fft

    def transforms(x: Tensor, _: Any) -> Tensor:
        spectrum = fft.rfft2(x, norm=norm)
        whole = fft.fft2(torch.complex(x, x.flip(2)), norm=norm)
        results = [
            parts(spectrum),
            fft.irfft2(spectrum * (0.5 + 0.2j), s=x.shape[-2:], norm=norm),
            parts(whole),
            parts(fft.ifft2(whole * whole.conj(), norm=norm)),
            parts(fft.fft(x, dim=1, norm=norm)),
            parts(fft.rfft(x, dim=2, norm=norm)),
            parts(fft.ifft(x, norm=norm)),
            fft.irfft(torch.complex(x, x), dim=2, norm=norm),
            fft.hfft(torch.complex(x, x), norm=norm),
            parts(fft.rfftn(x, dim=(1, 2, 3), norm=norm)),
            fft.irfftn(torch.complex(x, x), s=(5, 4), dim=(-2, -1), norm=norm),
            parts(fft.fftshift(whole, dim=(-2, -1))),
            parts(fft.ifftshift(whole, dim=(-2,))),
        ]
        return torch.cat([result.flatten(1) for result in results], 1)

    require_equal(Function(transforms), picture(1, 4, *size))


FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "sums and differences": lambda z, m: z + m.own - 2 * m.real + (1 - 2j) - z.conj() * 3,
    "scaled sums": lambda z, m: torch.add(z, m.own, alpha=2) - torch.sub(m.real, z, alpha=3),
    "products": lambda z, m: z * m.own * m.real * (0.5 + 1j) * 2,
    "quotients": lambda z, m: z / m.own + m.real / z + z / 2 + z / (1 + 1j) + 1 / (z + 3) + z.reciprocal(),
    "squares": lambda z, m: z**2 + z.square(),
    "exponentials": lambda z, m: torch.exp(z * 0.1) + torch.exp(1j * m.real * z.real),
    "magnitudes": lambda z, m: torch.complex(z.abs(), z.angle()) + z.sgn() + torch.sgn(z * 0),
    "polar": lambda z, m: torch.polar(z.abs().sqrt(), z.angle() * m.real),
    "conjugates": lambda z, m: z.conj().resolve_conj() * z.conj() + torch.conj_physical(z) - z.mH.mT,
    "parts": lambda z, m: torch.complex(torch.imag(z), torch.real(z)) + torch.view_as_complex(torch.view_as_real(z)),
    "matrices": lambda z, m: (z @ z.mT) @ m.own + torch.matmul(m.own, z.mT) @ z + torch.bmm(z[0], m.own.mT) @ z,
    "einsum": lambda z, m: torch.einsum("bchw,chv->bcwv", z, m.own) @ z.mT.conj().mT.mT + 0 * z.sum(),
    "means": lambda z, m: z.mean((2, 3), keepdim=True) * z + z.sum(1, keepdim=True) - z.mean() + z.sum(),
    "cut and joined": lambda z, m: torch.cat((z[:, 1:], z[:, :1]), 1).roll(2, 3).flip(2) + torch.stack(z.unbind(1), 1),
    "split": lambda z, m: torch.cat(z.split([1, 3], 1)[::-1], 1) + torch.cat(z.chunk(2, 2)[::-1], 2) + -z,
    "shapes": lambda z, m: z.reshape(1, 4, -1).unflatten(2, (6, 8)).movedim(1, 2).transpose(1, 2).contiguous(),
    "indices": lambda z, m: z[:, [2, 1, 0, 3]] + z.index_select(1, torch.tensor([3, 3, 0, 1])),
    "conditions": lambda z, m: torch.where(z.abs() > 1, z, m.own) + torch.where(m.real > 0, z, torch.zeros_like(z)),
    "made on the way": lambda z, m: (
        torch.zeros(4, 6, 8, dtype=torch.cfloat) + torch.full((8,), 1 + 2j) + torch.ones_like(z) + z.to(torch.cfloat)
    ),
    "assigned": lambda z, m: _assigned(z, m),
    "padded": lambda z, m: torch.nn.functional.pad(z, (1, 0, 2, 0))[:, :, :6, :8] + z.expand(1, 4, 6, 8),
    "padded with a number": lambda z, m: (
        torch.nn.functional.pad(z, (1, 0, 0, 0), value=2.0)[..., :8]
        + torch.nn.functional.pad(z, (1, 0, 0, 0), mode="reflect")[..., :8]
        + torch.constant_pad_nd(z, (0, 1), 3)[..., 1:]
    ),
    "masked": lambda z, m: (
        z.masked_fill(m.real > 0, 2)
        + torch.where(m.real > 0, z, 3.0)
        + torch.where(m.real > 0, 1j, z)
        + torch.where(m.real > 0, z, torch.arange(8))
        + z * (m.real > 0.5)
    ),
    "repeated": lambda z, m: z[:, :1].repeat(1, 4, 1, 1) + z.squeeze(0).unsqueeze(0) + z.permute(0, 1, 2, 3),
    "beside real tensors": lambda z, m: (
        torch.where(z.abs() > 1, z, m.real)
        + torch.cat((m.real[None, :2], z[:, 2:]), 1)
        + torch.stack((z[0], m.real))[1:]
    ),
    "of numbers": lambda z, m: m.real.to(torch.cfloat) * z + m.real * 1j,
}


def _assigned(z: Tensor, m: Any) -> Tensor:
    result = torch.zeros(1, 4, 6, 8, dtype=torch.cfloat)
    result[:, :, :3, :4] = z[:, :, :3, :4] * m.own[:, :3, :4]
    result[:, 1] = m.real[1] * z[:, 1]
    result[:, :, -2:] += z[:, :, -2:]
    return result


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_is_done_with_complex_tensors(name: str):
    function = FUNCTIONS[name]

    def network(x: Tensor, m: Any) -> Tensor:
        result = function(torch.complex(x[:, :4], x[:, 4:]), m)
        return parts(result)

    require_equal(Function(network), picture(1, 8, 6, 8))


def test_a_network_of_global_filters_keeps_its_weights_and_stores_its_matrices_once():
    network, spec = global_filter(24, 16)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    found = require_equal(network, picture(1, *spec.preprocessing.image_shape))
    assert all(torch.equal(value, network.state_dict()[key]) for key, value in before.items()), "it was changed"
    names = [name for name, _ in found.named_buffers() if name.startswith("matrices.")]
    assert len(names) == len(set(names)) > 4
    # Along each axis forward and back, in two normalisations, from and to real and complex numbers.
    assert sum("real_to_complex" in name for name in names) == 2
    kept = dict(found.named_buffers())
    with torch.no_grad():
        found.eval()(picture(1, *spec.preprocessing.image_shape))
    assert all(matrix is kept[name] for name, matrix in found.named_buffers()), "they were made anew"


def test_a_network_of_real_numbers_is_left_as_it_is():
    network, spec = plain_u_net(96, 64)
    assert in_real_numbers(network, picture(1, *spec.preprocessing.image_shape)) is network


@pytest.mark.parametrize(
    ("function", "operator"),
    [
        (lambda x, m: torch.linalg.eigvals(x[0, :, :4, :4]).real, "linalg_eigvals|_linalg_eigvals|linalg_eig"),
        (lambda x, m: torch.log(torch.complex(x, x)).real, "log"),
        (lambda x, m: torch.pow(torch.complex(x, x), 3).real, "pow"),
        (lambda x, m: torch.einsum("bchw,chw,chw->bc", torch.complex(x, x), m.own, m.own).real, "einsum"),
    ],
)
def test_an_operator_without_a_form_in_real_numbers_is_named(function: Callable[..., Tensor], operator: str):
    with pytest.raises(LoweringError, match=rf"^the operator ({operator}) of this network, on complex .*transforms\.$"):
        in_real_numbers(Function(function), picture(1, 4, 6, 8))
