"""Predicting every slice of a study with a bundle, in the memory of one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2m_edge.deploy.bundle import Bundle
from s2m_edge.deploy.guard import GuardVerdict
from s2m_edge.errors import ConfigurationError
from s2m_edge.imaging.results.figures import unmeasured, volume_ml
from s2m_edge.imaging.scratch import scratch_array
from s2m_edge.imaging.study.study import Study
from s2m_edge.imaging.window import Progress
from s2m_edge.notice import NOTICE
from s2m_edge.targets.base import Runner
from s2m_edge.targets.predict import Prediction, predict_picture
from s2m_edge.texts import printable

Each = Callable[[int, Prediction], None]
ALL = "all"


@dataclass(frozen=True, repr=False)
class StudyPrediction:
    """A study's result. Printed, it is one line of figures and the notice.

    Attributes:
        study: of the slices that were predicted alone.
        first: the number, in the whole study, of its first slice.
        labels: slices x rows x columns, uint8, in the study's order; 0 is background. Those of a large study lie in a
            temporary file.
        classes: names of the foreground classes.
        areas: slices x classes, pixels.
        guard: of each slice whether it is like the pictures that the network was trained on; empty where the bundle
            does not know.
        windows: how often the network ran.
        network_milliseconds: of the network alone.
        milliseconds: of fitting, network and masks; reading the files is not counted.
        fractions: classes x slices x rows x columns, uint8: the probability of each class times 255, rounded half up.
            None where they were not to be kept.
    """

    study: Study
    first: int
    labels: NDArray[np.uint8]
    classes: tuple[str, ...]
    areas: NDArray[np.int64]
    guard: tuple[GuardVerdict, ...]
    windows: int
    network_milliseconds: float
    milliseconds: float
    fractions: NDArray[np.uint8] | None = None

    def __repr__(self) -> str:
        figures = ", ".join(
            f"{name} {int(area)} px" + ("" if volume is None else f" ({volume:.1f} ml)")
            for (name, volume), area in zip(self.volumes.items(), self.areas.sum(axis=0), strict=True)
        )
        text = f"{self.study.name}: {self.study.slices} slices, {figures}. {NOTICE}"
        return f"<{type(self).__name__} {printable(text)}>"

    @property
    def unusual(self) -> int:
        """How many slices are unlike the pictures that the network was trained on."""
        return sum(verdict.unusual for verdict in self.guard)

    @property
    def volumes(self) -> dict[str, float | None]:
        """Millilitres of each class, as all results have them; None where they are not known: see `volume_ml`."""
        grid, areas = self.study.grid, self.areas.T.tolist()
        return {name: volume_ml(area, grid) for name, area in zip(self.classes, areas, strict=True)}

    @property
    def remarks(self) -> tuple[str, ...]:
        """Why a class has no figures in mm although the study has a spacing; the study has remarks of its own."""
        found = ((name, unmeasured(self.labels, self.study.grid, k)) for k, name in enumerate(self.classes, 1))
        return tuple(f"{name}: {reason}" for name, reason in found if reason)

    def summary(self) -> dict[str, Any]:
        """JSON values without the pixels."""
        grid = self.study.grid
        return {
            "study": self.study.name,
            "path": str(self.study.path),
            "kind": self.study.kind,
            "plane": self.study.plane,
            "first_slice": self.first,
            "slices": grid.slices,
            "width": grid.columns,
            "height": grid.rows,
            "spacing_mm": None if grid.spacing is None else list(grid.spacing),
            "spacing_from": self.study.spacing_from,
            "area_pixels": {name: int(area) for name, area in zip(self.classes, self.areas.sum(axis=0), strict=True)},
            "volume_ml": self.volumes,
            "unusual_slices": self.unusual if self.guard else None,
            "windows": self.windows,
            "network_milliseconds": round(self.network_milliseconds, 2),
            "milliseconds": round(self.milliseconds, 2),
            "remarks": [*self.study.remarks, *self.remarks],
        }


def predict_study(
    bundle: Bundle,
    runner: Runner,
    study: Study,
    *,
    slices: range | None = None,
    threshold: float | None = None,
    each: Each = lambda index, prediction: None,
    progress: Progress = lambda done, total: None,
    fractions: bool = False,
) -> StudyPrediction:
    """Segment the slices of a study exactly as the contract says of pictures.

    Beside the labels, a byte for each pixel, no more than one slice is held at a time.

    Args:
        slices: which of the study's; those beyond its end are left out. All by default.
        threshold: in [0, 1]; the contract's by default. Only for one class.
        each: called with a slice's number in the whole study and its result, as soon as there is one.
        progress: called with slices done and in all, also between the windows of one.
        fractions: keep the probability of each class, a byte for each pixel and class.

    Raises:
        ImageError, AnswerError: no slice was chosen, one cannot be read, or the artifact fails on one.
        OutputError: there is no room for the labels.
    """
    wanted = range(study.slices) if slices is None else range(slices.start, min(slices.stop, study.slices))
    part = study.part(wanted)
    grid, contract = part.grid, bundle.contract
    names = tuple(entry.name for entry in contract.classes)
    labels = scratch_array((grid.slices, grid.rows, grid.columns))
    areas = np.zeros((grid.slices, len(names)), np.int64)
    kept = scratch_array((len(names), grid.slices, grid.rows, grid.columns)) if fractions else None
    verdicts: list[GuardVerdict] = []
    windows, network, milliseconds = 0, 0.0, 0.0
    for index, number in enumerate(wanted):
        progress(index, grid.slices)
        found = predict_picture(
            bundle,
            runner,
            part.slice(index, contract.preprocessing.intensity),
            Path(f"{study.name} slice {number}"),
            threshold=threshold,
            progress=lambda done, total, at=index: progress(at, grid.slices),
            probabilities=fractions,
        )
        if kept is not None and found.probabilities is not None:
            kept[:, index] = np.floor(found.probabilities[-len(names) :] * np.float32(255) + np.float32(0.5))
        labels[index] = found.labels
        areas[index] = list(found.areas.values())
        if found.guard is not None:
            verdicts.append(found.guard)
        windows += found.windows
        network += found.network_milliseconds
        milliseconds += found.milliseconds
        each(number, found)
    progress(grid.slices, grid.slices)
    return StudyPrediction(
        part, wanted.start, labels, names, areas, tuple(verdicts), windows, network, milliseconds, kept
    )


def chosen_slices(text: str) -> range | None:
    """Which slices a text names: "10:40" is 10 to 39, "10:" 10 and all after it, "7" that one, "all" all (None).

    Raises:
        ConfigurationError: it names none.
    """
    if text.strip().lower() == ALL:
        return None
    first, colon, last = text.strip().partition(":")
    numbers = [part.strip() for part in (first, last)]
    if all(not part or (part.isascii() and part.isdecimal() and len(part) < 10) for part in numbers) and any(numbers):
        start = int(numbers[0] or 0)
        stop = start + 1 if not colon else int(numbers[1]) if numbers[1] else 10**9
        if start < stop:
            return range(start, stop)
    raise ConfigurationError(
        f"--slices is {text!r}", "Give all, one number, or the first and the one after the last, for instance 10:40."
    )
