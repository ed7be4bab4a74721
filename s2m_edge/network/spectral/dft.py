"""The spectral filter as plain real matrix products: a truncated DFT, exact, with no FFT and no complex number.

Only frequencies |f| <= K / 2 are kept, so one basis matrix per axis, of cosines and sines side by side,

    D[n] = [cos(2 pi f n / N) for f = 0..K/2 | sin(2 pi f n / N) for f = 0..K/2] / sqrt(N),

does the transform and its inverse: T = Dh' x Dw and y = Dh Z Dw'. The cosine and sine parts of T form four blocks
cc, cs, sc, ss. A real filter W acts on the frequencies (f1, f2) and (-f1, -f2) alike and on (f1, -f2) and (-f1, f2)
alike; with S the sum of W over the first pair, D over the second, P = S + D and Q = S - D,

    Z_cc = P cc - Q ss    Z_cs = P cs + Q sc    Z_sc = P sc + Q cs    Z_ss = P ss - Q cc

that is Z = [P P; P P] * T + [-Q Q; Q -Q] * roll(T), where `roll` swaps cosines with sines along both axes.
(Expand Re(W X exp(i theta)) for the four sign choices of a frequency pair; the sine columns of frequency 0, and of
N / 2 where it is kept, are zero, so that no frequency needs a special case.)

The map is symmetric, <y(a), b> = <a, y(b)>, so its gradient with respect to x is itself.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import linear

from s2m_edge.network.spectral.reference import crop_filter


def frequency_count(kept: int) -> int:
    """Number of non-negative frequencies among -(kept // 2) .. kept - kept // 2 - 1, in absolute value."""
    return kept // 2 + 1


def dft_basis(length: int, kept: int, device: torch.device | None = None) -> Tensor:
    """D, length x 2M in float64: M = kept // 2 + 1 cosines, then as many sines, orthonormally scaled.

    Args:
        length: N, number of samples along the axis.
        kept: K' <= N, number of frequencies kept.
        device: where it is computed and stays; the CPU by default.
    """
    positions = torch.arange(length, dtype=torch.int64, device=device)
    frequencies = torch.arange(frequency_count(kept), dtype=torch.int64, device=device)
    # The product is reduced modulo N as an integer, so that large angles lose no digits.
    turns = (positions[:, None] * frequencies[None, :] % length).to(torch.float64) / length
    angles = 2.0 * math.pi * turns
    sines = torch.where(2 * frequencies % length == 0, 0.0, torch.sin(angles))
    return torch.cat((torch.cos(angles), sines), dim=1) / math.sqrt(length)


def fold_matrices(kept: int, device: torch.device | None = None) -> tuple[Tensor, Tensor]:
    """The sum and the difference of a filter's entries at f and -f, as two M x K matrices in float64."""
    frequencies = torch.arange(kept, device=device) - kept // 2
    rows = torch.arange(frequency_count(kept), device=device)
    even = (frequencies.abs() == rows[:, None]).to(torch.float64)
    return even, even * frequencies.sign()


@lru_cache(maxsize=64)
def _cached_basis(length: int, kept: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # a cached inference tensor would break a later training step
        return dft_basis(length, kept).to(device=device, dtype=dtype)


@lru_cache(maxsize=64)
def _cached_folds(kept: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    with torch.inference_mode(False):
        even, odd = fold_matrices(kept)
        return even.to(device=device, dtype=dtype), odd.to(device=device, dtype=dtype)


def constant_basis(length: int, kept: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """`dft_basis` in a dtype and on a device, made once; nobody may change it."""
    if torch.compiler.is_dynamo_compiling():  # a few small operators for the compiler to fuse; it sees no caches
        return dft_basis(length, kept, device).to(dtype)
    return _cached_basis(length, kept, dtype, device)


def constant_folds(kept: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """`fold_matrices` in a dtype and on a device, made once; nobody may change them."""
    if torch.compiler.is_dynamo_compiling():
        even, odd = fold_matrices(kept, device)
        return even.to(dtype), odd.to(dtype)
    return _cached_folds(kept, dtype, device)


def fold_filter(weight: Tensor) -> tuple[Tensor, Tensor]:
    """The gains [P P; P P] and [-Q Q; Q -Q] of a filter, **transposed** (width frequencies first).

    Args:
        weight: C x K1 x K2, no larger than the map that it will filter.

    Returns:
        Two tensors C x 2*M2 x 2*M1, the direct and the crossed gain, of weight's dtype.
    """
    even_rows, odd_rows = constant_folds(weight.shape[-2], weight.dtype, weight.device)
    even_columns, odd_columns = constant_folds(weight.shape[-1], weight.dtype, weight.device)
    flipped = weight.transpose(-2, -1)
    direct = even_columns @ flipped @ even_rows.T
    crossed = odd_columns @ flipped @ odd_rows.T
    direct_rows = torch.cat((direct, direct), dim=-1)
    crossed_rows = torch.cat((-crossed, crossed), dim=-1)
    return torch.cat((direct_rows, direct_rows), dim=-2), torch.cat((crossed_rows, -crossed_rows), dim=-2)


def swap_cosines_and_sines(spectrum: Tensor) -> Tensor:
    """`roll` of the module's equation: exchange the four blocks of a ... x 2*M2 x 2*M1 spectrum diagonally."""
    rows, columns = spectrum.shape[-2] // 2, spectrum.shape[-1] // 2
    swapped = torch.cat((spectrum[..., rows:, :], spectrum[..., :rows, :]), dim=-2)
    return torch.cat((swapped[..., columns:], swapped[..., :columns]), dim=-1)


def forward_transform(x: Tensor, basis_height: Tensor, basis_width: Tensor) -> Tensor:
    """T transposed: B x C x H x W to B x C x 2*M2 x 2*M1. Both products have the constant on the right."""
    return linear(linear(x, basis_width.T).transpose(-2, -1), basis_height.T)


def inverse_transform(spectrum: Tensor, basis_height: Tensor, basis_width: Tensor) -> Tensor:
    """y from Z transposed: B x C x 2*M2 x 2*M1 to B x C x H x W."""
    return linear(linear(spectrum, basis_height).transpose(-2, -1), basis_width)


def apply_gains(spectrum: Tensor, direct: Tensor, crossed: Tensor) -> Tensor:
    """Z = direct * T + crossed * roll(T)."""
    return direct * spectrum + crossed * swap_cosines_and_sines(spectrum)


def bases_for(x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """The basis matrices of both axes for `x` and an already cropped `weight`, in x's dtype and on its device."""
    height, width = x.shape[-2:]
    rows, columns = weight.shape[-2:]
    return (
        constant_basis(height, rows, x.dtype, x.device),
        constant_basis(width, columns, x.dtype, x.device),
    )


def dft_spectral_filter(x: Tensor, weight: Tensor) -> Tensor:
    """The spectral filter as four small matrix products; differentiable.

    Args:
        x: B x C x H x W, any real floating dtype. Orthonormal scaling keeps half precision in range: a map of mean m
            has a DC term of m * sqrt(H * W).
        weight: C x K1 x K2, real, frequency 0 at index K // 2.

    Returns:
        B x C x H x W, of x's dtype.
    """
    kept = crop_filter(weight, x.shape[-2], x.shape[-1])
    basis_height, basis_width = bases_for(x, kept)
    direct, crossed = fold_filter(kept)
    spectrum = forward_transform(x, basis_height, basis_width)
    filtered = apply_gains(spectrum, direct.to(x.dtype), crossed.to(x.dtype))
    return inverse_transform(filtered, basis_height, basis_width)


def dft_weight_gradient(gradient: Tensor, x: Tensor, rows: int, columns: int) -> Tensor:
    """Gradient of sum(gradient * y) with respect to the filter; differentiable.

    Args:
        gradient, x: B x C x H x W.
        rows, columns: K1, K2 of the filter; frequencies that the map does not have get zero.

    Returns:
        C x K1 x K2, of x's dtype.
    """
    height, width = x.shape[-2:]
    kept_rows, kept_columns = min(rows, height), min(columns, width)
    basis_height = constant_basis(height, kept_rows, x.dtype, x.device)
    basis_width = constant_basis(width, kept_columns, x.dtype, x.device)
    spectrum = forward_transform(x, basis_height, basis_width)
    upstream = forward_transform(gradient, basis_height, basis_width)
    direct = (upstream * spectrum).sum(dim=0)
    crossed = (upstream * swap_cosines_and_sines(spectrum)).sum(dim=0)
    m2, m1 = frequency_count(kept_columns), frequency_count(kept_rows)
    direct = direct.unflatten(-1, (2, m1)).sum(-2).unflatten(-2, (2, m2)).sum(-3)
    left, right = crossed[..., :m1], crossed[..., m1:]
    signed = right - left
    crossed = signed[..., :m2, :] - signed[..., m2:, :]
    even_rows, odd_rows = constant_folds(kept_rows, x.dtype, x.device)
    even_columns, odd_columns = constant_folds(kept_columns, x.dtype, x.device)
    kept = (even_columns.T @ direct @ even_rows + odd_columns.T @ crossed @ odd_rows).transpose(-2, -1)
    top, left_pad = rows // 2 - kept_rows // 2, columns // 2 - kept_columns // 2
    padding = (left_pad, columns - kept_columns - left_pad, top, rows - kept_rows - top)
    return torch.nn.functional.pad(kept, padding)
