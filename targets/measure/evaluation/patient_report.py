"""The part of an evaluation's report that is about patients: JSON, table and plot."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from s2m_edge.targets.measure.evaluation.agreement import Agreement, bland_altman
from s2m_edge.targets.measure.evaluation.agreement_chart import write_agreement_chart
from s2m_edge.targets.measure.evaluation.evaluate import Evaluation
from s2m_edge.targets.measure.evaluation.intervals import summarise
from s2m_edge.targets.measure.evaluation.patients import TOGETHER, Grouping, PatientResult, patient_results
from s2m_edge.texts import printable

PATIENTS_FILE, AGREEMENT_FILE = "patients.csv", "bland-altman.png"
DECIMALS = 6
COLUMNS = (
    "patient",
    "images",
    "class",
    "dice",
    "truth_pixels",
    "predicted_pixels",
    "error_pixels",
    "error_percent",
    "truth_ml",
    "predicted_ml",
    "error_ml",
)
ONE_PATIENT = "one patient: nothing can be said of others, and no interval and no limits of agreement are given"


def patient_values(evaluation: Evaluation, grouping: Grouping, class_names: Sequence[str]) -> dict[str, Any]:
    """The JSON object `patients` of metrics.json."""
    results = patient_results(evaluation, grouping)
    values: dict[str, Any] = {
        "count": len(results),
        "named_by": grouping.origin,
        "remark": ONE_PATIENT if len(results) == 1 else None,
        "dice": _summary([result.dice for result in results]),
        "classes": [],
        "conventions": TOGETHER,
    }
    for index, name in enumerate(class_names):
        entries = [result.classes[index] for result in results]
        shares = [entry.error_percent for entry in entries if entry.error_percent is not None]
        values["classes"].append(
            {
                "name": name,
                "dice": _summary([entry.dice for entry in entries]),
                "volume_error_percent": _summary(shares) if shares else None,
                "bland_altman": _agreement_values(bland_altman(entries)),
            }
        )
    return values


def patient_table(evaluation: Evaluation, grouping: Grouping, class_names: Sequence[str]) -> str:
    """CSV, one row per patient and class; what is unknown is empty."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for result in patient_results(evaluation, grouping):
        for name, entry in zip(class_names, result.classes, strict=True):
            writer.writerow(
                [
                    printable(result.name),
                    result.images,
                    printable(name),
                    f"{entry.dice:.{DECIMALS}g}",
                    entry.truth_pixels,
                    entry.predicted_pixels,
                    entry.error_pixels,
                    *(_cell(value) for value in (entry.error_percent, entry.truth_ml, entry.predicted_ml)),
                    _cell(entry.error_ml),
                ]
            )
    return buffer.getvalue()


def write_agreement(
    path: Path, title: str, evaluation: Evaluation, grouping: Grouping, class_names: Sequence[str]
) -> None:
    """Bland and Altman's plot of every class.

    Raises:
        OutputError: it cannot be written.
    """
    results: Sequence[PatientResult] = patient_results(evaluation, grouping)
    found = [
        (name, bland_altman([result.classes[index] for result in results])) for index, name in enumerate(class_names)
    ]
    write_agreement_chart(path, title, found)


def _summary(values: Sequence[float]) -> dict[str, Any]:
    found = asdict(summarise(np.array(values, dtype=np.float64)))
    found["patients"] = found.pop("images")
    return {key: _rounded(value) for key, value in found.items() if key != "undefined"}


def _agreement_values(found: Agreement) -> dict[str, Any]:
    return {
        "unit": found.unit,
        "patients": len(found.differences),
        "bias": _rounded(found.bias),
        "bias_interval": _rounded(found.bias_interval),
        "standard_deviation": _rounded(found.deviation),
        "limits_of_agreement": _rounded(found.limits),
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, tuple):
        return [round(end, DECIMALS) for end in value]
    return round(value, DECIMALS) if isinstance(value, float) else value


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.{DECIMALS}g}"
