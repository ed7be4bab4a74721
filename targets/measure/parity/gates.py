"""Judging figures by their gates. The limits of each precision stand in `s2m_edge.deploy.precision`; those between the
stages of a quantization, here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from s2m_edge.deploy.precision import PRECISION_ROWS, QUANTIZED_AGAINST_FLOAT, AccuracyGate, Gate
from s2m_edge.targets.measure.parity.compare import ImageParity
from s2m_edge.targets.measure.parity.difference import Difference

GATES: dict[str, Gate] = {name: row.gate for name, row in PRECISION_ROWS.items()}
"""By precision."""

# The same integers, but for ties that fall differently: any one image may move ten times as far as the mean, as between
# the float network and what is quantized of it.
SAME_INTEGERS = AccuracyGate(mean_dice=0.002, worst_dice=0.02, both_ways=True)
ACCURACY_GATES: dict[tuple[str, str], AccuracyGate] = {
    ("float", "decomposed"): AccuracyGate(mean_dice=1e-4, worst_dice=1e-3, mean_hd95=0.1, both_ways=True),
    ("float", "fake-quantized"): QUANTIZED_AGAINST_FLOAT,
    ("fake-quantized", "converted"): SAME_INTEGERS,
    ("fake-quantized", "runtime"): SAME_INTEGERS,
    ("float", "runtime"): QUANTIZED_AGAINST_FLOAT,
    **{("float", name): row.accuracy for name, row in PRECISION_ROWS.items() if not row.quantized},
}
"""By reference and stage; see `s2m_edge.targets.measure.parity.stages`. Artifacts of a float checkpoint are stages
named by their precision."""


def accuracy_breaches(gate: AccuracyGate, entry: Difference) -> list[str]:
    """What of a difference is outside its gate, as sentences.

    A figure that is not finite is a breach, and so are no images, or none whose label has an object.
    """
    where = (
        f"{entry.stage} ({entry.name}) against {entry.reference}: "
        if entry.name != entry.stage
        else (f"{entry.stage} against {entry.reference}: ")
    )
    if entry.images_with_object == 0:
        return [f"{where}none of {entry.images} images has anything in its label, so nothing was compared"]
    found: list[str] = []
    if not _lost(entry.mean_dice, gate) <= gate.mean_dice:
        found.append(f"{where}mean Dice {entry.mean_dice:+.4f}, allowed {gate.mean_dice:g}")
    extremes = {entry.worst_image: entry.worst_dice}
    if gate.both_ways:
        extremes.setdefault(entry.best_image, entry.best_dice)
    found += [
        f"{where}{image}: Dice {moved:+.4f}, allowed {gate.worst_dice:g}"
        for image, moved in extremes.items()
        if not _lost(moved, gate) <= gate.worst_dice
    ]
    if gate.mean_hd95 is not None:
        if entry.images_with_hd95 == 0:
            found.append(f"{where}HD95 is defined on no image in both: a mask is empty on each")
        elif not _lost(-entry.mean_hd95, gate) <= gate.mean_hd95:
            found.append(f"{where}mean HD95 {entry.mean_hd95:+.2f} pixels, allowed {gate.mean_hd95:g}")
    return found


def _lost(moved: float, gate: AccuracyGate) -> float:
    """How much of a gain counts as lost; infinite where it is no number, so that no limit holds."""
    if not math.isfinite(moved):
        return math.inf
    return abs(moved) if gate.both_ways else -moved


@dataclass(frozen=True)
class GatedFigure:
    """One of the four figures of a picture that a gate can limit.

    Attributes:
        title: for people; attribute: of `ImageParity`.
        limit: what it may be at most, a likeness at least; None where it is not limited.
        likeness: whether more of it is better.
    """

    title: str
    attribute: str
    limit: float | None
    likeness: bool

    @property
    def allowed(self) -> float | None:
        """How much may be lost of what agrees entirely; None where that is not limited."""
        return self.limit if self.limit is None or not self.likeness else 1 - self.limit

    def worst(self, images: Sequence[ImageParity]) -> tuple[float, str]:
        """The worst value, and the image that has it; no number is worse than any.

        Args:
            images: at least one.
        """
        values = [(getattr(image, self.attribute), image.name) for image in images]
        nothing = next((entry for entry in values if math.isnan(entry[0])), None)
        return nothing or (min if self.likeness else max)(values, key=lambda entry: entry[0])


def gated_figures(gate: Gate) -> tuple[GatedFigure, ...]:
    """The figures of a gate, errors first."""
    return (
        GatedFigure("largest probability error", "max_probability_error", gate.probability_error, likeness=False),
        GatedFigure("mean probability error", "mean_probability_error", gate.mean_probability_error, likeness=False),
        GatedFigure("mask agreement", "mask_agreement", gate.mask_agreement, likeness=True),
        GatedFigure("Dice between masks", "mask_dice", gate.mask_dice, likeness=True),
    )


def breaches(gate: Gate, image: ImageParity) -> list[str]:
    """What of `image` is outside `gate`, as sentences that name the image and the figure; empty when it holds.

    A figure that is not finite is a breach, limited or not. One sentence for each figure at most.
    """
    found: list[str] = []
    for entry in gated_figures(gate):
        figure: float = getattr(image, entry.attribute)
        if not math.isfinite(figure):
            which = "it is" if entry.likeness else "outputs are"
            found.append(f"{image.name}: {entry.title} {figure}: {which} not finite")
        elif entry.limit is not None and entry.likeness and figure < entry.limit:
            found.append(f"{image.name}: {entry.title} {figure:.6f} below {entry.limit:g}")
        elif entry.limit is not None and not entry.likeness and figure > entry.limit:
            found.append(f"{image.name}: {entry.title} {figure:.3g} above {entry.limit:g}")
    return found


def run_breaches(gate: Gate, images: Sequence[ImageParity]) -> list[str]:
    """What of a whole run is outside `gate`: the breaches of every image, and that none shows the object.

    Where the reference finds nothing on any image, an artifact that never finds anything would pass too.
    """
    found = [breach for image in images for breach in breaches(gate, image)]
    if not any(image.shows_object for image in images):
        count = {0: "no image was compared", 1: "the reference finds nothing on the one image"}.get(
            len(images), f"the reference finds nothing on any of {len(images)} images"
        )
        found.append(f"{count}, and equal empty masks prove nothing: give --images that show the object")
    return found
