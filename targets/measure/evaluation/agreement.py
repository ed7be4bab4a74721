"""Agreement of predicted with true volumes over patients, after Bland and Altman."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from s2m_edge.targets.measure.evaluation.intervals import Interval, bootstrap_interval
from s2m_edge.targets.measure.evaluation.patients import PatientClass

Unit = Literal["ml", "pixels"]
WITHIN = 1.96
"""Standard deviations on both sides of the bias, between which 95 % of normally distributed differences lie."""


@dataclass(frozen=True)
class Agreement:
    """Differences of volumes, predicted minus true (Bland and Altman, Lancet 1986;327:307-310).

    Attributes:
        unit: of all figures; millilitres where they are known of every patient.
        means, differences: one value per patient: the mean of both volumes, and their difference.
        bias: the mean difference.
        bias_interval: 95 %, by bootstrap over the patients; None with fewer than two.
        deviation: standard deviation of the differences (n - 1); None with fewer than two patients.
        limits: of agreement, bias -+ 1.96 deviations; None likewise.
    """

    unit: Unit
    means: NDArray[np.float64]
    differences: NDArray[np.float64]
    bias: float
    bias_interval: Interval | None
    deviation: float | None
    limits: Interval | None


def bland_altman(patients: Sequence[PatientClass]) -> Agreement:
    """The agreement of one class's volumes over at least one patient."""
    in_ml = all(entry.truth_ml is not None for entry in patients)
    truth = np.array([entry.truth_ml if in_ml else entry.truth_pixels for entry in patients], dtype=np.float64)
    found = np.array([entry.predicted_ml if in_ml else entry.predicted_pixels for entry in patients], dtype=np.float64)
    differences = found - truth
    bias = float(differences.mean())
    deviation = float(differences.std(ddof=1)) if len(patients) > 1 else None
    limits = None if deviation is None else (bias - WITHIN * deviation, bias + WITHIN * deviation)
    return Agreement(
        unit="ml" if in_ml else "pixels",
        means=(found + truth) / 2,
        differences=differences,
        bias=bias,
        bias_interval=bootstrap_interval(differences, np.mean),
        deviation=deviation,
        limits=limits,
    )
