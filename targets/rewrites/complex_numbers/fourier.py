"""Discrete Fourier transforms of pairs, one product with a constant matrix for each axis.

A matrix takes the real and the imaginary parts side by side along the axis, and gives them so. It is stored as it is
used (rows are results), because a matrix that the graph turns is an operator's result, and no weight, to most backends.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import linear

from s2m_edge.targets.rewrites.complex_numbers.pair import Operation, Pair, aten, pair_of

Kind = Literal["real to complex", "complex to complex", "complex to real"]


@dataclass(frozen=True)
class Transform:
    """A transform along one axis.

    Attributes:
        kind: what goes in and comes out; on the complex side of a real signal stand the frequencies 0 to length // 2.
        length: of the signal.
        forward: the sign of the exponent is minus; "complex to real" is the inverse of such a transform.
        scale: the exponent of the length in the factor: 0, -1/2 (orthonormal) or -1.
    """

    kind: Kind
    length: int
    forward: bool
    scale: float

    @property
    def name(self) -> str:
        direction = "forward" if self.forward else "inverse"
        return f"{self.kind} {self.length} {direction} {abs(self.scale):g}".replace(" ", "_").replace(".", "_")

    def matrix(self) -> Tensor:
        """The matrix, results x arguments, float32, computed in float64."""
        sign = -1 if self.forward else 1
        grid = torch.arange(self.length, dtype=torch.float64)
        half = grid[: self.length // 2 + 1]
        factor = self.length**self.scale
        if self.kind == "real to complex":
            cosine, sine = _waves(half, grid, self.length)
            return (factor * torch.cat((cosine, sign * sine))).float()
        if self.kind == "complex to real":
            # A frequency stands for its mirror image as well, but for those that are their own.
            weights = torch.full_like(half, 2.0)
            weights[0] = 1.0
            if self.length % 2 == 0:
                weights[-1] = 1.0
            cosine, sine = _waves(grid, half, self.length)
            return (factor * torch.cat((cosine * weights, -sign * sine * weights), 1)).float()
        cosine, sine = _waves(grid, grid, self.length)
        upper, lower = torch.cat((cosine, -sign * sine), 1), torch.cat((sign * sine, cosine), 1)
        return (factor * torch.cat((upper, lower))).float()


def _waves(rows: Tensor, columns: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """Cosine and sine of 2 pi rows columns / length."""
    phase = 2 * math.pi / length * (rows[:, None] * columns[None] % length)
    return torch.cos(phase), torch.sin(phase)


Matrices = Callable[[Transform], Tensor]
_SCALES = (0.0, -0.5, -1.0)
"""The exponent of the length by torch's number of a normalisation."""


def fourier_operations(matrices: Matrices) -> dict[Any, Operation]:
    """The three transforms that torch makes all others of, by operator.

    Args:
        matrices: gives the matrix of a transform; where it is kept is the caller's.
    """

    def complex_to_complex(x: Any, axes: Sequence[int], normalisation: int, forward: bool) -> Pair:
        return _along_axes(pair_of(x), axes, forward, _SCALES[normalisation], matrices)

    def real_to_complex(x: Tensor, axes: Sequence[int], normalisation: int, onesided: bool) -> Pair:
        if not onesided:
            return complex_to_complex(x, axes, normalisation, True)
        *others, last = axes
        transform = Transform("real to complex", x.shape[last], True, _SCALES[normalisation])
        both = linear(x.movedim(last, -1), matrices(transform))
        first, second = both.chunk(2, -1)
        half = Pair(first.movedim(-1, last), second.movedim(-1, last))
        return _along_axes(half, others, True, _SCALES[normalisation], matrices)

    def complex_to_real(x: Any, axes: Sequence[int], normalisation: int, length: int) -> Tensor:
        *others, last = axes
        spectrum = _along_axes(pair_of(x), others, False, _SCALES[normalisation], matrices)
        transform = Transform("complex to real", length, False, _SCALES[normalisation])
        return linear(_side_by_side(spectrum, last), matrices(transform)).movedim(-1, last)

    return {
        aten._fft_c2c.default: complex_to_complex,
        aten._fft_r2c.default: real_to_complex,
        aten._fft_c2r.default: complex_to_real,
    }


def _side_by_side(x: Pair, axis: int) -> Tensor:
    """Both parts along one axis, which becomes the last."""
    return torch.cat((x.real.movedim(axis, -1), x.imaginary.movedim(axis, -1)), -1)


def _along_axes(x: Pair, axes: Sequence[int], forward: bool, scale: float, matrices: Matrices) -> Pair:
    for axis in axes:
        transform = Transform("complex to complex", x.real.shape[axis], forward, scale)
        first, second = linear(_side_by_side(x, axis), matrices(transform)).chunk(2, -1)
        x = Pair(first.movedim(-1, axis), second.movedim(-1, axis))
    return x
