"""Self-test cases: logits as in golden.safetensors, probabilities as a device might give them, and a gate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from s2m_edge.deploy.precision import Precision

SIDE = 32
DENOMINATOR = 2**20


@dataclass(frozen=True)
class Comparison:
    """One comparison.

    Attributes:
        name, why: as for a case.
        precision: whose gate applies.
        classes: output channels.
        rows: of SIDE that are foreground; with more classes the foreground is split among them.
        shift: added to the probability of the first pixel of the foreground.
        flips: pixels, from the foreground's end backwards, that the device decides the other way.
        drift: by how much every probability of the first output moves towards a half.
        last: takes the place of the last value: not a number, or infinite.
    """

    name: str
    why: str
    precision: Precision
    classes: int = 1
    rows: int = 20
    shift: float = 0.0
    flips: int = 0
    drift: float = 0.0
    last: float | None = None
    threshold: float = 0.5

    def make(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Logits and the device's probabilities, each classes x SIDE x SIDE."""
        logits = self._logits()
        edge = np.round(_probabilities(logits) * DENOMINATOR) / DENOMINATOR
        edge[0] -= np.copysign(self.drift, edge[0] - 0.5)
        edge[0, 0, 0] += self.shift
        foreground = self.rows * SIDE
        flat = edge.reshape(self.classes, -1)
        for place in range(foreground - self.flips, foreground):
            flat[:, place] = 1.0 - flat[:, place] if self.classes == 1 else np.roll(flat[:, place], 1)
        if self.last is not None:
            flat[0, -1] = self.last
        return logits, edge.astype(np.float32)

    def _logits(self) -> NDArray[np.float32]:
        places = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)
        strength = (16 + places * 7 % 200) / 64.0
        labels = np.where(places < self.rows * SIDE, 1 + places // 8 % max(1, self.classes - 1), 0)
        if self.classes == 1:
            return np.where(labels > 0, strength, -strength)[None].astype(np.float32)
        return np.stack([np.where(labels == label, strength, -1.0) for label in range(self.classes)]).astype(np.float32)


def _probabilities(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """In float64: rounded to multiples of 2^-20 afterwards, it gives the same bytes on every machine."""
    exact = logits.astype(np.float64)
    if exact.shape[0] == 1:
        return 1.0 / (1.0 + np.exp(-exact))
    raised = np.exp(exact)
    return raised / raised.sum(axis=0)


COMPARISONS: tuple[Comparison, ...] = (
    Comparison("compare-alike", "what a sound device gives", "float32"),
    Comparison("compare-close", "an error just inside the float32 gate", "float32", shift=-9e-5),
    Comparison("compare-apart", "an error just outside", "float32", shift=-1.2e-4),
    Comparison("compare-no-number", "one value is not a number: never a pass", "float32", last=np.nan),
    Comparison("compare-no-number-half", "nor where no error is limited", "float16", last=np.nan),
    Comparison("compare-infinite", "one value is infinite, and no label changes", "float16", last=-np.inf),
    Comparison("compare-mean-inside", "all are off by just less than the mean may be", "float16", drift=9.9e-4),
    Comparison("compare-mean-outside", "all are off by just more, and no label changes", "float16", drift=1.01e-3),
    Comparison("compare-half", "half precision may be further away", "float16", shift=-4e-3),
    Comparison("compare-one-flip", "one pixel of 1024 flips: agreement 0.99902", "float16", flips=1),
    Comparison("compare-two-flips", "two pixels flip: agreement 0.99805", "float16", flips=2),
    Comparison("compare-small-mask", "one flip, agreement holds, Dice does not", "float16", rows=2, flips=1),
    Comparison("compare-empty", "nothing to find: two empty masks agree, and prove nothing", "float16", rows=0),
    Comparison("compare-classes", "softmax over three classes", "float32", classes=3),
    Comparison(
        "compare-classes-flip", "one pixel changes its class: Dice is a mean over classes", "float16", 3, flips=1
    ),
)
