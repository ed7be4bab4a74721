"""How far a tensor lies from the reference's, and how far it may.

A gate (`s2m_edge.deploy.precision`) limits the error of a probability, whose range is 1. A block's own values have
another range, so theirs may differ by the same share of it: of float32 the largest error, of the others the mean. A
limit of the largest error bounds the mean.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2m_edge.targets.measure.parity.gates import GATES

Values = NDArray[np.float32]
SMALLEST_RANGE = 1e-12


@dataclass(frozen=True)
class Deviation:
    """Of one tensor from the reference's.

    Attributes:
        largest, mean: absolute differences; infinite where a value is not finite.
        span: the reference's range, see `span_of`.
    """

    largest: float
    mean: float
    span: float

    def relative(self, precision: str) -> float:
        """The difference that a precision's gate limits, as a share of the range."""
        limited = self.largest if GATES[precision].probability_error is not None else self.mean
        return limited / self.span


def tolerance(precision: str) -> float:
    """The share of its range that a block's error may reach."""
    gate = GATES[precision]
    found = gate.mean_probability_error if gate.probability_error is None else gate.probability_error
    assert found is not None, "every gate limits the largest or the mean error"
    return found


def span_of(reference: Values) -> float:
    """A tensor's range with zero in it: what rounds, a float's last digit or a level of int8, does so by that."""
    lowest, highest = min(float(reference.min()), 0.0), max(float(reference.max()), 0.0)
    return max(highest - lowest, SMALLEST_RANGE)


def arrangements(found: NDArray[Any], shape: tuple[int, ...]) -> Iterator[NDArray[Any]]:
    """A runtime's tensor as one of the reference's shape: as it is, or with its channels moved from the end."""
    wanted, plain = _long_sides(shape), found.reshape(_long_sides(found.shape))
    if plain.shape == wanted:
        yield plain.reshape(shape)
    if plain.ndim > 2 and (moved := np.moveaxis(plain, -1, 0)).shape == wanted:
        yield moved.reshape(shape)


def may_be(found: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Whether a tensor of one shape may be the reference's of another."""
    plain, expected = _long_sides(found), _long_sides(wanted)
    return plain == expected or (len(plain) > 2 and (plain[-1], *plain[:-1]) == expected)


def _long_sides(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(length for length in shape if length != 1)


def deviation(reference: Values, found: NDArray[Any], span: float | None = None) -> Deviation:
    """The least deviation among the arrangements of a tensor.

    Args:
        span: of the reference, where it is known.

    Raises:
        ValueError: it cannot be the reference's.
    """
    span = span_of(reference) if span is None else span
    best: Deviation | None = None
    for arranged in arrangements(found, reference.shape):
        with np.errstate(invalid="ignore", over="ignore"):
            difference = np.abs(arranged.astype(np.float32, copy=False) - reference)
            largest, mean = float(difference.max()), float(difference.mean(dtype=np.float64))
        here = Deviation(_or_infinite(largest), _or_infinite(mean), span)
        if best is None or here.mean < best.mean:
            best = here
    if best is None:
        raise ValueError(f"a tensor {found.shape} is none of {reference.shape}")
    return best


def _or_infinite(value: float) -> float:
    return value if math.isfinite(value) else math.inf
