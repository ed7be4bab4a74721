"""What results are of: a study's labels, and what made them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from s2m_edge.imaging.classes import SegmentClass
from s2m_edge.imaging.grid import Grid
from s2m_edge.imaging.results.algorithm import Algorithm
from s2m_edge.imaging.results.dicom_seg import SegType
from s2m_edge.imaging.results.figures import ClassFigures, measure
from s2m_edge.imaging.written import Source


class Study(Protocol):
    """What is asked of a study. See `imaging/study` for what these are."""

    @property
    def name(self) -> str: ...

    @property
    def path(self) -> Path: ...

    @property
    def kind(self) -> str: ...

    @property
    def grid(self) -> Grid: ...

    @property
    def spacing_from(self) -> str: ...

    @property
    def plane(self) -> str: ...

    @property
    def remarks(self) -> tuple[str, ...]: ...

    @property
    def identity(self) -> str: ...

    @property
    def datasets(self) -> Sequence[Any]: ...

    @property
    def volume(self) -> Any: ...

    def labels_in_file_order(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]: ...


@dataclass(frozen=True)
class Subject:
    """Labels of a study, and what made them.

    Attributes:
        labels: slices x rows x columns, 0 background, k of `classes[k - 1]`, in the study's order.
        seg_type: how DICOM-SEG stores them.
        fractions: classes x slices x rows x columns, uint8, in the study's order, what a fractional DICOM-SEG stores:
            probabilities times 255. None where they were not kept.
    """

    study: Study
    labels: NDArray[np.uint8]
    classes: tuple[SegmentClass, ...]
    algorithm: Algorithm
    seg_type: SegType = "binary"
    fractions: NDArray[np.uint8] | None = None

    @cached_property
    def identity(self) -> str:
        """SHA-256 of the study: of its file, or of its instances' identifiers."""
        return self.study.identity

    @cached_property
    def figures(self) -> tuple[ClassFigures, ...]:
        """Areas, volumes and diameters of the classes, measured once."""
        return measure(self.labels, self.study.grid, self.classes)

    @property
    def remarks(self) -> tuple[str, ...]:
        """Those of the study, and why a class has no figures in mm."""
        return (*self.study.remarks, *(f"{one.name}: {one.unmeasured}" for one in self.figures if one.unmeasured))

    @property
    def slices(self) -> tuple[int, ...]:
        """The numbers of the slices, from 0: of a part of a study, as the whole study counts them."""
        chosen = getattr(self.study, "chosen", None)
        return tuple(range(len(self.labels)) if chosen is None else chosen)

    @cached_property
    def source(self) -> Source:
        """What a mask says that it is of: the study, and which of its slices in which plane."""
        key = json.dumps([self.identity, self.study.plane, self.slices])
        return Source(self.study.name, hashlib.sha256(key.encode()).hexdigest())
