"""`python -m s2m_edge.train.masl.deviations`: what each departure from the paper's formulas does to four shapes.

It prints the table of docs/masl.md; a test holds the page to it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from s2m_edge.train.masl.components import STRUCTURES, compare
from s2m_edge.train.masl.loss import (
    EPSILON,
    HIGHEST_WEIGHT,
    INITIAL_WEIGHTS,
    LOWEST_WEIGHT,
    MorphologyAwareLoss,
    modulation_factors,
)
from s2m_edge.train.masl.morphology import (
    LITERAL_EPSILON,
    compactness,
    describe_morphology,
    literal_compactness,
    perimeter,
)

SIDE = 128
SURE = 0.5  # the probability of a half-sure prediction
FAINT = 1e-3  # and of a nearly empty one
STEPS, RATE = 200, 1e-2  # of the weights alone


class Row(NamedTuple):
    """A figure of the paper's form and of ours, given a mask 1 x 1 x H x W."""

    name: str
    literal: Callable[[Tensor], float]
    ours: Callable[[Tensor], float]


def shapes() -> dict[str, Tensor]:
    """Disc of radius 30, vessel 3 pixels wide, star of five points, blob of 2 x 2; 1 x 1 x 128 x 128 of 0 and 1."""
    row, column = torch.meshgrid(torch.arange(SIDE).double(), torch.arange(SIDE).double(), indexing="ij")
    y, x = row - SIDE / 2 + 0.5, column - SIDE / 2 + 0.5
    distance, angle = torch.hypot(y, x), torch.atan2(y, x)
    masks = {
        "disc": distance <= 30,
        "vessel": ((row - (SIDE / 2 + 8 * (column / 14).sin()).round()).abs() <= 1) & (column >= 12) & (column < 116),
        "star": distance <= 30 * (1 + 0.5 * (5 * angle).cos()),
        "tiny blob": (y.abs() < 1) & (x.abs() < 1),
    }
    return {name: mask.double()[None, None] for name, mask in masks.items()}


def rows() -> tuple[Row, ...]:
    """Every departure, with the others left as in the column's form."""
    return (
        Row("kappa of the mask", _literal, _ours),
        Row("area: kappa of a half-sure mask, over that of the sure one", *_per_form(_half_sure)),
        Row("perimeter: length of the mask's boundary, pixels", _raw_length, lambda mask: float(perimeter(mask))),
        Row(f"floor: kappa of the mask at {FAINT:g}", lambda m: _free(FAINT * m), lambda m: _ours(FAINT * m)),
        Row("clamping: kappa of the sure mask without and with it", _free, _ours),
        Row("absent class: structure loss of the shape where nothing is true", *_false_positive()),
        Row(f"weights: core's share after {STEPS} steps of Adam on the weights alone", _clamped_share, _bounded_share),
    )


def table() -> str:
    """Markdown: one row per departure, for each shape "the paper's form, ours"."""
    found = shapes()
    lines = [f"| paper's form, ours | {' | '.join(found)} |", "|---|" + "---|" * len(found)]
    for row in rows():
        cells = [f"{row.literal(mask):.3g}, {row.ours(mask):.3g}" for mask in found.values()]
        lines.append(f"| {row.name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _literal(mask: Tensor) -> float:
    return float(literal_compactness(mask))


def _ours(mask: Tensor) -> float:
    return float(compactness(mask))


def _free(image: Tensor) -> float:
    """Ours without floor and clamp."""
    return float(4 * math.pi * image.square().sum() / perimeter(image).square())


def _per_form(measure: Callable[[Callable[[Tensor], float], Tensor], float]) -> list[Callable[[Tensor], float]]:
    return [lambda mask: measure(_literal, mask), lambda mask: measure(_ours, mask)]


def _half_sure(kappa: Callable[[Tensor], float], mask: Tensor) -> float:
    return kappa(SURE * mask) / kappa(mask)


def _raw_length(mask: Tensor) -> float:
    across, along = F.pad(mask.diff(dim=-1), (0, 1)), F.pad(mask.diff(dim=-2), (0, 0, 0, 1))
    return float((across.square() + along.square() + LITERAL_EPSILON).sqrt().sum())


def _false_positive() -> list[Callable[[Tensor], float]]:
    def of(form: str) -> Callable[[Tensor], float]:
        return lambda mask: float(STRUCTURES[form](compare(mask, torch.zeros_like(mask))))

    return [of("literal"), of("bounded")]


def _components(mask: Tensor) -> tuple[Tensor, Tensor]:
    """The five components of a prediction that is 0.7 sure, and their factors a_i."""
    parts = MorphologyAwareLoss().forward_with_parts(0.1 + 0.6 * mask, mask)
    factors = modulation_factors(describe_morphology(mask))
    return torch.cat(list(parts.components.values())), torch.cat([factors[name] for name in parts.components])


def _core_share(mask: Tensor, parameter: Tensor, weights: Callable[[Tensor], Tensor], rate: float) -> float:
    values, factors = _components(mask)
    parameter.requires_grad_()
    optimizer = torch.optim.Adam([parameter], lr=rate)
    for _ in range(STEPS):
        optimizer.zero_grad()
        weighed = weights(parameter) * factors
        ((weighed * values).sum() / (weighed.sum() + EPSILON)).backward()
        optimizer.step()
    weighed = weights(parameter.detach()) * factors
    return float(weighed[0] / weighed.sum())


def _clamped_share(mask: Tensor) -> float:
    initial = torch.tensor(list(INITIAL_WEIGHTS.values()), dtype=torch.float64)
    return _core_share(mask, initial, lambda w: w.clamp(LOWEST_WEIGHT, HIGHEST_WEIGHT), RATE)


def _bounded_share(mask: Tensor) -> float:
    """At a twentieth of the rate, as in a recipe (`loss_weight_rate`)."""
    logits = MorphologyAwareLoss().weight_logits.detach().double().clone()
    spread = math.log(HIGHEST_WEIGHT / LOWEST_WEIGHT)
    return _core_share(mask, logits, lambda v: LOWEST_WEIGHT * (spread * v.sigmoid()).exp(), RATE * 0.05)


if __name__ == "__main__":
    print(table())
