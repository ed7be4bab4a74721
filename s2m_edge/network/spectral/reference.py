"""The spectral filter's definition, in torch.fft. Every other form is tested against this one.

y = Re(IFFT2(pad(W * crop(fftshift(FFT2(x))))))        (arXiv 2601.01285, section 3.2)
"""

from __future__ import annotations

import torch
from torch import Tensor


def central_span(length: int, kept: int) -> tuple[int, int]:
    """Start and stop of the `kept` central entries of a shifted spectrum with `length` entries.

    Entry `length // 2` is frequency 0 and stays the centre, so the span holds frequencies -(kept // 2) upwards.
    """
    start = length // 2 - kept // 2
    return start, start + kept


def crop_filter(weight: Tensor, height: int, width: int) -> Tensor:
    """The part of a filter whose frequencies exist on a `height` x `width` map.

    Args:
        weight: ... x K1 x K2, frequency 0 at index K // 2 of each axis.

    Returns:
        ... x min(K1, height) x min(K2, width).
    """
    rows, columns = weight.shape[-2:]
    top, bottom = central_span(rows, min(rows, height))
    left, right = central_span(columns, min(columns, width))
    return weight[..., top:bottom, left:right]


def reference_spectral_filter(x: Tensor, weight: Tensor) -> Tensor:
    """The definition, through complex FFTs.

    Args:
        x: B x C x H x W, float32 or float64.
        weight: C x K1 x K2, real, frequency 0 at index K // 2 of each axis. Frequencies that the map does not have
            are ignored.

    Returns:
        B x C x H x W, of x's dtype.
    """
    height, width = x.shape[-2:]
    kept = crop_filter(weight, height, width)
    top, bottom = central_span(height, kept.shape[-2])
    left, right = central_span(width, kept.shape[-1])
    # Orthonormal scaling: the same function as the usual 1 / (H W) on the way back, without its huge DC term.
    spectrum = torch.fft.fftshift(torch.fft.fft2(x, norm="ortho"), dim=(-2, -1))
    filtered = torch.zeros_like(spectrum)
    filtered[..., top:bottom, left:right] = spectrum[..., top:bottom, left:right] * kept
    return torch.fft.ifft2(torch.fft.ifftshift(filtered, dim=(-2, -1)), norm="ortho").real
