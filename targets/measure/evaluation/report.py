"""What an evaluation leaves behind: metrics.csv, metrics.json and worst.png in one folder, or nothing; of patients also
patients.csv and bland-altman.png."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from s2m_edge.checkpoint import CheckpointHeader, require_unchanged, with_provenance
from s2m_edge.files import FolderKind, publish_folder, staged_folder, write_bytes, write_json
from s2m_edge.imaging.overlay import png_bytes
from s2m_edge.notice import INTENDED_USE, NOTICE
from s2m_edge.targets.measure.evaluation.evaluate import Evaluation
from s2m_edge.targets.measure.evaluation.intervals import BOOTSTRAP, BOOTSTRAP_BY_PATIENT, Summary, summarise
from s2m_edge.targets.measure.evaluation.metrics import CONVENTIONS, EVERY_PIXEL, INSIDE, METRICS
from s2m_edge.targets.measure.evaluation.patient_report import (
    AGREEMENT_FILE,
    PATIENTS_FILE,
    patient_table,
    patient_values,
    write_agreement,
)
from s2m_edge.targets.measure.evaluation.patients import Grouping
from s2m_edge.targets.measure.evaluation.predictors import Predictor
from s2m_edge.targets.measure.evaluation.sheet import draw_worst
from s2m_edge.texts import encoded, printable
from s2m_edge.versions import installed_version, tool_versions

METRICS_FILE = "metrics.json"
TABLE_FILE = "metrics.csv"
SHEET_FILE = "worst.png"
DECIMALS = 6


def report_files(folder: Path) -> list[str]:
    """The files of an evaluation in a folder; none where its metrics.json is another program's."""
    try:
        values = json.loads((folder / METRICS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return []
    ours = isinstance(values, dict) and values.keys() >= {"model", "data", "metrics", "conventions", "notice"}
    return [METRICS_FILE, TABLE_FILE, SHEET_FILE, PATIENTS_FILE, AGREEMENT_FILE] if ours else []


EVALUATION = FolderKind("an evaluation", report_files)


@dataclass(frozen=True)
class Subject:
    """What was evaluated, on what, and how.

    Attributes:
        data: name of the image folder.
        available: images of the split; fewer were evaluated where a limit was given.
        tolerance: of the surface Dice, in pixels.
        augment: whether probabilities were averaged over eight symmetries.
        grouping: of the images by patient, where figures of patients and intervals over them were asked for.
    """

    predictor: Predictor
    data: str
    split: str
    available: int
    tolerance: float
    augment: bool
    grouping: Grouping | None = None

    @property
    def patients(self) -> tuple[str, ...] | None:
        """Of each image, where intervals are over patients."""
        return None if self.grouping is None else self.grouping.names


def summarise_images(evaluation: Evaluation, patients: Sequence[str] | None = None) -> dict[str, Summary]:
    """By metric, over the images' own figures, which are means over the classes.

    Args:
        patients: of each image; the intervals are then over patients.
    """
    return {
        metric.name: summarise(np.array([image.figure(metric.name) for image in evaluation.images]), patients)
        for metric in METRICS
    }


def summarise_class(evaluation: Evaluation, index: int, patients: Sequence[str] | None = None) -> dict[str, Summary]:
    """By metric, of one foreground class, counted from 0."""
    return {
        metric.name: summarise(
            np.array([image.classes[index].values[metric.name] for image in evaluation.images]), patients
        )
        for metric in METRICS
    }


def report_values(subject: Subject, evaluation: Evaluation) -> dict[str, Any]:
    """The JSON object of metrics.json."""
    predictor = subject.predictor
    field = field_values(evaluation)
    return {
        "model": {
            "name": predictor.name,
            **predictor.facts,
            "height": predictor.preprocessing.height,
            "width": predictor.preprocessing.width,
            "classes": [entry.name for entry in predictor.classes],
            "verdict": predictor.verdict,
            "device": predictor.device,
        },
        "data": {
            "name": subject.data,
            "split": subject.split,
            "images": len(evaluation.images),
            "images_in_split": subject.available,
        },
        "settings": {
            "threshold": predictor.threshold if predictor.channels == 1 else None,
            "augment": subject.augment,
            "window": predictor.windowed,
            "field_of_view": field,
            "surface_dice_tolerance_pixels": subject.tolerance,
        },
        "metrics": _summary_values(summarise_images(evaluation, subject.patients)),
        "classes": [
            {
                "name": entry.name,
                "images_with_truth": sum(image.classes[index].truth_pixels > 0 for image in evaluation.images),
                "images_with_prediction": sum(image.classes[index].predicted_pixels > 0 for image in evaluation.images),
                "metrics": _summary_values(summarise_class(evaluation, index, subject.patients)),
            }
            for index, entry in enumerate(predictor.classes)
        ],
        "worst": [
            {"image": shown.result.name, "dice": round(shown.result.figure("dice"), DECIMALS)}
            for shown in evaluation.worst
        ],
        "conventions": {**CONVENTIONS, "field of view": EVERY_PIXEL if field is None else INSIDE},
        **_patients(subject, evaluation),
        "bootstrap": BOOTSTRAP if subject.grouping is None else BOOTSTRAP_BY_PATIENT,
        "tools": {**tool_versions(), **{name: installed_version(name) for name in ("monai", "scipy", "pillow")}},
        "evaluated_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "intended_use": INTENDED_USE,
        "notice": NOTICE,
    }


def _patients(subject: Subject, evaluation: Evaluation) -> dict[str, Any]:
    """Nothing where nobody asked for patients."""
    if subject.grouping is None:
        return {}
    names = [entry.name for entry in subject.predictor.classes]
    return {"patients": patient_values(evaluation, subject.grouping, names)}


def field_values(evaluation: Evaluation) -> dict[str, Any] | None:
    """Images by the origin of their field of view, and its mean share of an image; None where every pixel counted."""
    found = [(image.field, image.width * image.height) for image in evaluation.images if image.field is not None]
    if not found:
        return None
    published = sum(field.published for field, _ in found)
    share = sum(field.pixels / pixels for field, pixels in found) / len(found)
    return {"published": published, "estimated": len(found) - published, "mean_share": round(share, DECIMALS)}


def _summary_values(found: Mapping[str, Summary]) -> dict[str, Any]:
    def rounded(value: Any) -> Any:
        if isinstance(value, tuple):
            return [round(end, DECIMALS) for end in value]
        return round(value, DECIMALS) if isinstance(value, float) else value

    return {name: {key: rounded(value) for key, value in asdict(entry).items()} for name, entry in found.items()}


def table_text(evaluation: Evaluation, class_names: Sequence[str]) -> str:
    """CSV, one row per image and class; an undefined figure is empty.

    Where images were scored inside the field of view, its area is the last column.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    areas = ["truth_pixels", "predicted_pixels"]
    areas += ["field_of_view_pixels"] if field_values(evaluation) is not None else []
    writer.writerow(["image", "width", "height", "class", *(metric.name for metric in METRICS), *areas])
    for image in evaluation.images:
        field = [] if image.field is None else [image.field.pixels]
        for name, entry in zip(class_names, image.classes, strict=True):
            values = [entry.values[metric.name] for metric in METRICS]
            cells = ["" if math.isnan(value) else f"{value:.{DECIMALS}g}" for value in values]
            pixels = [entry.truth_pixels, entry.predicted_pixels, *field]
            writer.writerow([printable(image.name), image.width, image.height, printable(name), *cells, *pixels])
    return buffer.getvalue()


def publish_report(subject: Subject, evaluation: Evaluation, out: Path) -> dict[str, Any]:
    """Write the report's files to a folder beside `out` and rename it, replacing an earlier evaluation.

    Returns:
        The JSON object of metrics.json.

    Raises:
        OutputError: the place cannot be written, or holds something else.
    """
    values = report_values(subject, evaluation)
    names = [entry.name for entry in subject.predictor.classes]
    title = (
        f"The worst {len(evaluation.worst)} of {len(evaluation.images)} images by Dice: "
        f"{subject.predictor.name} on {subject.data}, {subject.split}"
        f"{'' if field_values(evaluation) is None else ', inside the field of view'}"
    )
    picture = png_bytes(draw_worst(evaluation.worst, subject.predictor.classes, title))
    with staged_folder(out, EVALUATION) as stage:
        write_bytes(stage / TABLE_FILE, encoded(table_text(evaluation, names)))
        write_bytes(stage / SHEET_FILE, picture)
        if subject.grouping is not None:
            write_bytes(stage / PATIENTS_FILE, encoded(patient_table(evaluation, subject.grouping, names)))
            line = f"{subject.predictor.name} on {subject.data}, {subject.split}: volumes of patients"
            write_agreement(stage / AGREEMENT_FILE, line, evaluation, subject.grouping, names)
        write_json(stage / METRICS_FILE, values)
        publish_folder(stage, out, EVALUATION)
    return values


@dataclass(frozen=True)
class Recording:
    """A checkpoint's file with figures in its provenance, not written yet: the report that it belongs to comes first.

    Attributes:
        header: of the file as it was evaluated.
        content: of the file as it will be.
    """

    header: CheckpointHeader
    content: bytes

    def write(self) -> None:
        """Raises CheckpointError where the file was changed meanwhile, and OutputError where it cannot be written."""
        require_unchanged(self.header)
        write_bytes(self.header.path.resolve(), self.content)


def record_figures(subject: Subject, evaluation: Evaluation, header: CheckpointHeader) -> tuple[Subject, Recording]:
    """The mean Dice, its interval and the number of images, to be written into the checkpoint's provenance.

    Entries: SPLIT_dice, SPLIT_dice_interval, SPLIT_images, and SPLIT_dice_per_class for several classes. With
    a sliding window, augmentation or a field of view the figures get the suffixes _window, _augmented and
    _field_of_view, so that they stand beside those without.

    Returns:
        The subject with the file's new SHA-256, and what is to be written; the weights are bit for bit what they were.

    Raises:
        CheckpointError: the file is not the one any more that was evaluated.
    """
    dice, classes = summarise_images(evaluation)["dice"], subject.predictor.classes
    suffix = ("_window" if subject.predictor.windowed else "") + ("_augmented" if subject.augment else "")
    suffix += "" if field_values(evaluation) is None else "_field_of_view"
    assert dice.mean is not None  # Dice is defined for every image
    entries: dict[str, Any] = {
        f"{subject.split}_dice{suffix}": round(dice.mean, 4),
        f"{subject.split}_dice_interval{suffix}": [round(end, 4) for end in dice.mean_interval or ()] or None,
        f"{subject.split}_images": len(evaluation.images),
    }
    if len(classes) > 1:
        means = [summarise_class(evaluation, index)["dice"].mean or 0.0 for index in range(len(classes))]
        entries[f"{subject.split}_dice_per_class{suffix}"] = {
            entry.name: round(mean, 4) for entry, mean in zip(classes, means, strict=True)
        }
    content = with_provenance(header, entries)
    facts = {
        **subject.predictor.facts,
        "checkpoint": {"file": header.path.name, "sha256": hashlib.sha256(content).hexdigest()},
    }
    return replace(subject, predictor=replace(subject.predictor, facts=facts)), Recording(header, content)
