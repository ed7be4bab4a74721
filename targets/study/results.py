"""From a study to its files: predicted, and written in every format that was asked for, all of them or none."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from s2m_edge.deploy.bundle import Bundle
from s2m_edge.errors import ConfigurationError
from s2m_edge.files import publish_folder, require_replaceable, staged_folder
from s2m_edge.imaging.study.study import Study
from s2m_edge.imaging.window import Progress
from s2m_edge.targets.base import Runner
from s2m_edge.targets.study.pictures import SlicePictures, masks_folder, masks_kind
from s2m_edge.targets.study.slices import StudyPrediction, predict_study

PNG = "png"
Codes = Mapping[str, Any]


@dataclass(frozen=True)
class StudyOutputs:
    """What was predicted, and the files and folders that it became."""

    prediction: StudyPrediction
    paths: tuple[Path, ...]


def study_formats(text: str) -> tuple[str, ...]:
    """The formats of a text, for instance "dicom-seg,nifti,csv", each once.

    Raises:
        ConfigurationError: one that is not known, or none.
    """
    names = list(dict.fromkeys(name.strip().lower() for name in text.split(",") if name.strip()))
    if not names:
        raise ConfigurationError("no format is given", f"Choose {PNG}, dicom-seg, nifti, csv, json with --format.")
    others = [name for name in names if name != PNG]
    if others:
        from s2m_edge.imaging.results.write import FORMATS, find_formats

        unknown = next((name for name in others if name not in FORMATS), None)
        if unknown is not None:
            raise ConfigurationError(
                f"there is no format {unknown!r}", f"Choose {', '.join([PNG, *FORMATS])} with --format."
            )
        others = find_formats(others)
    return (*([PNG] if PNG in names else []), *others)


def codes_of(bundle: Bundle, path: Path | None = None) -> Codes:
    """The coded concepts of a bundle's classes: those of its domain, and a user's file before them.

    Raises:
        ConfigurationError: the file is none of codes.
    """
    from s2m_edge.imaging.results.codes import bundled_codes, load_codes

    domain = str(bundle.contract.values["checkpoint"]["provenance"].get("domain", ""))
    return {**bundled_codes(domain), **({} if path is None else load_codes(path))}


def require_free(
    bundle: Bundle,
    study: Study,
    formats: Sequence[str],
    out: Path,
    stem: str,
    *,
    overwrite: bool = False,
    remedy: str = "Choose another folder with --out, or add --overwrite to replace it.",
) -> None:
    """Raise OutputError, before long work, if a result would take the place of a file that was not written for the same
    slices of the same study. `remedy` is what a user can do then."""
    if PNG in formats:
        require_replaceable(masks_folder(out, stem), masks_kind(study, overwrite))
    others = [name for name in formats if name != PNG]
    if not others:
        return
    from s2m_edge.imaging.results.subject import Subject
    from s2m_edge.imaging.results.write import require_free_places

    labels = np.broadcast_to(np.uint8(0), (study.grid.slices, study.grid.rows, study.grid.columns))
    subject = Subject(study, labels, bundle.contract.classes, algorithm_of(bundle))
    require_free_places(others, out, stem, subject, overwrite=overwrite, remedy=remedy)


def is_planned(formats: Sequence[str], out: Path, stem: str) -> bool:
    """Whether a file or folder is there already under a name that a study's results will have."""
    places = [masks_folder(out, stem)] if PNG in formats else []
    others = [name for name in formats if name != PNG]
    if others:
        from s2m_edge.imaging.results.write import planned_paths

        places += planned_paths(others, out, stem)
    return any(os.path.lexists(place) for place in places)


def segment_study(
    bundle: Bundle,
    runner: Runner,
    study: Study,
    formats: Sequence[str],
    out: Path,
    stem: str,
    *,
    slices: range | None = None,
    threshold: float | None = None,
    codes: Codes | None = None,
    overwrite: bool = False,
    progress: Progress = lambda done, total: None,
    seg_type: str = "binary",
) -> StudyOutputs:
    """Predict a study and write its results. Where anything fails, no file of it is left behind.

    Args:
        formats: names of `study_formats`.
        out: the folder of the results.
        stem: what their names begin with.
        slices, threshold, progress: as `predict_study` takes them.
        codes: of the classes, for DICOM-SEG; those of the bundle's domain by default.
        overwrite: the user has said that files which are there may be replaced.
        seg_type: how a DICOM-SEG stores its pixels: binary, fractional (the probabilities) or labelmap.

    Raises:
        ImageError, AnswerError: the study cannot be read, predicted, or expressed in a format.
        ConfigurationError: a class has no code.
        MissingBackendError: a package is not installed.
        OutputError: a file would be lost, the folder cannot be written, or the disk is full.
    """
    others = [name for name in formats if name != PNG]
    wanted = range(study.slices) if slices is None else range(slices.start, min(slices.stop, study.slices))
    part = study.part(wanted)
    classes = bundle.contract.classes
    require_free(bundle, part, formats, out, stem, overwrite=overwrite)
    if others:
        from s2m_edge.imaging.results.dicom_seg import find_seg_type
        from s2m_edge.imaging.results.write import require_expressible, write_results

        codes = codes_of(bundle) if codes is None and "dicom-seg" in others else codes or {}
        require_expressible(others, part, classes, codes)
    fractional = seg_type == "fractional" and "dicom-seg" in others
    with ExitStack() as stack:
        pictures, stage = None, Path()
        final, kind = masks_folder(out, stem), masks_kind(study, overwrite)
        if PNG in formats:
            stage = stack.enter_context(staged_folder(final, kind))
            outputs = bundle.contract.values["output"]["shape"][1]
            pictures = SlicePictures(stage, study, classes, outputs, wanted, caption_of(bundle, study))
        found = predict_study(
            bundle,
            runner,
            study,
            slices=wanted,
            threshold=threshold,
            each=pictures.add if pictures else lambda number, prediction: None,
            progress=progress,
            fractions=fractional,
        )
        if pictures is not None:
            pictures.finish()
        paths: list[Path] = []
        if others:
            paths += write_results(
                others, out, stem, found.study, found.labels, classes, codes or {},
                algorithm_of(bundle, threshold), overwrite=overwrite, seg_type=find_seg_type(seg_type),
                fractions=found.fractions,
            )  # fmt: skip
        if pictures is not None:
            publish_folder(stage, final, kind)
            paths.insert(0, final)
    return StudyOutputs(found, tuple(paths))


def caption_of(bundle: Bundle, study: Study) -> str:
    """A line for a sheet: the study, and what ran."""
    values, mark = bundle.contract.values, "" if bundle.contract.proved else ", NOT PROVED"
    return f"{study.name}: {values['network']['architecture']}, {values['target']}, {values['precision']}{mark}"


def algorithm_of(bundle: Bundle, threshold: float | None = None) -> Any:
    """What made the labels, as results name it.

    Args:
        threshold: that decided, of one class; the contract's by default.
    """
    from s2m_edge.imaging.results.algorithm import Algorithm

    values = bundle.contract.values
    decided = None
    if values["output"]["shape"][1] == 1:
        decided = bundle.contract.threshold if threshold is None else threshold
    return Algorithm(
        str(values["network"]["name"]),
        str(values["s2m_edge_version"]),
        str(values["network"]["weights_sha256"]),
        str(values["precision"]),
        str(values["target"]),
        decided,
    )
