"""Figures of whole patients: all slices of one together, as a clinician counts them."""

from __future__ import annotations

import hashlib
import math
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from s2m_edge.errors import ConfigurationError
from s2m_edge.targets.measure.evaluation.evaluate import Evaluation
from s2m_edge.targets.measure.evaluation.geometry import patient_id, pixel_millilitres
from s2m_edge.targets.measure.evaluation.metrics import ClassFigures
from s2m_edge.train.data.sample import Sample

Origin = Literal["data set", "DICOM"]
TOGETHER = {
    "patient": "all of a patient's evaluated images together, whatever the order",
    "dice": "twice the sum of the intersections over the sum of the areas; 1 where a class is in neither mask",
    "volume": (
        "sum of the areas; in millilitres each pixel counts what it stands for by its file: a NIfTI voxel, or a DICOM "
        "pixel times half the way to both neighbouring slices; null where a file of the patient does not say"
    ),
    "volume error": "predicted minus true; in percent of the true one, null where that is 0",
}


@dataclass(frozen=True)
class Grouping:
    """Which image is of whom.

    Attributes:
        names: of each image's patient, as reports show it: what the data set calls it; of DICOM a number by the order
            of their first images, so that no PatientID is kept.
        origin: where they are from.
        millilitres: of a pixel of each image; None where its file does not say.
    """

    names: tuple[str, ...]
    origin: Origin
    millilitres: tuple[float | None, ...]

    @property
    def patients(self) -> tuple[str, ...]:
        """Each once, by the order of their first images."""
        return tuple(dict.fromkeys(self.names))


def group_by_patient(samples: Sequence[Sample]) -> Grouping:
    """Who each sample shows: by the column `patient` (or `case`) of split.csv or by the preset's layout, and where
    these say nothing of any sample, by the PatientID of DICOM files.

    Raises:
        ConfigurationError: a sample's patient is unknown.
        ImageError: a DICOM file cannot be read.
    """
    named = [sample.case for sample in samples]
    if any(named):
        _require_all(samples, named, "patient", "Fill the column patient of split.csv for each image.")
        return Grouping(tuple(named), "data set", tuple(pixel_millilitres(samples)))
    salt = secrets.token_bytes(16)  # thrown away: what is kept in memory is no key to anything
    found = [patient_id(sample.image) for sample in samples]
    remedy = "Write a column patient into split.csv: --by patient needs to know whose each image is."
    _require_all(samples, found, "patient in split.csv, and no PatientID", remedy)
    hashed = [hashlib.sha256(salt + text.encode("utf-8", "replace")).digest() for text in found]
    numbers = {value: number for number, value in enumerate(dict.fromkeys(hashed), start=1)}
    names = tuple(f"patient-{numbers[value]:03d}" for value in hashed)
    return Grouping(names, "DICOM", tuple(pixel_millilitres(samples)))


def _require_all(samples: Sequence[Sample], names: Sequence[str], what: str, remedy: str) -> None:
    for sample, name in zip(samples, names, strict=True):
        if not name:
            raise ConfigurationError(f"{sample.stem} has no {what}", remedy)


@dataclass(frozen=True)
class PatientClass:
    """One class of one patient.

    Attributes:
        dice: over all images together.
        truth_pixels, predicted_pixels: sums of areas.
        truth_ml, predicted_ml: volumes; None where the files do not say how large a pixel is.
    """

    dice: float
    truth_pixels: int
    predicted_pixels: int
    truth_ml: float | None
    predicted_ml: float | None

    @property
    def error_pixels(self) -> int:
        """Predicted minus true."""
        return self.predicted_pixels - self.truth_pixels

    @property
    def error_ml(self) -> float | None:
        """Predicted minus true."""
        if self.truth_ml is None or self.predicted_ml is None:
            return None
        return self.predicted_ml - self.truth_ml

    @property
    def error_percent(self) -> float | None:
        """Of the true volume, in millilitres where they are known; None where there is nothing to compare with."""
        if self.truth_ml is not None and self.error_ml is not None:
            return 100 * self.error_ml / self.truth_ml if self.truth_ml else None
        return 100 * self.error_pixels / self.truth_pixels if self.truth_pixels else None


@dataclass(frozen=True)
class PatientResult:
    """One patient's figures, one entry per foreground class."""

    name: str
    images: int
    classes: tuple[PatientClass, ...]

    @property
    def dice(self) -> float:
        """The mean over the classes."""
        return sum(entry.dice for entry in self.classes) / len(self.classes)


def patient_results(evaluation: Evaluation, grouping: Grouping) -> tuple[PatientResult, ...]:
    """Every patient's figures, by the order of their first images."""
    members: dict[str, list[int]] = {}
    for place, name in enumerate(grouping.names):
        members.setdefault(name, []).append(place)
    results: list[PatientResult] = []
    for name, places in members.items():
        scales = [grouping.millilitres[place] for place in places]
        by_class = zip(*(evaluation.images[place].classes for place in places), strict=True)
        classes = tuple(_together(figures, scales) for figures in by_class)
        results.append(PatientResult(name, len(places), classes))
    return tuple(results)


def _together(figures: Sequence[ClassFigures], scales: Sequence[float | None]) -> PatientClass:
    truth, predicted = (
        sum(entry.truth_pixels for entry in figures),
        sum(entry.predicted_pixels for entry in figures),
    )
    common = sum(entry.common_pixels for entry in figures)
    dice = 2 * common / (truth + predicted) if truth + predicted else 1.0
    known = [scale for scale in scales if scale is not None]
    if len(known) < len(scales):
        return PatientClass(dice, truth, predicted, None, None)
    truth_ml = math.fsum(entry.truth_pixels * scale for entry, scale in zip(figures, known, strict=True))
    predicted_ml = math.fsum(entry.predicted_pixels * scale for entry, scale in zip(figures, known, strict=True))
    return PatientClass(dice, truth, predicted, truth_ml, predicted_ml)
