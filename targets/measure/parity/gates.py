"""Judging figures by their gates. The limits of each precision stand in `s2m_edge.deploy.precision`; those between the
stages of a quantization, here."""

from __future__ import annotations

import math
from collections.abc import Sequence

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


def breaches(gate: Gate, image: ImageParity) -> list[str]:
    """What of `image` is outside `gate`, as sentences that name the image and the figure; empty when it holds.

    A figure that is not finite is a breach, limited or not. One sentence for each figure at most.
    """
    errors = (
        ("largest probability error", image.max_probability_error, gate.probability_error),
        ("mean probability error", image.mean_probability_error, gate.mean_probability_error),
    )
    likenesses = (
        ("mask agreement", image.mask_agreement, gate.mask_agreement),
        ("Dice between masks", image.mask_dice, gate.mask_dice),
    )
    found: list[str] = []
    for title, figure, limit in errors:
        if not math.isfinite(figure):
            found.append(f"{image.name}: {title} {figure}: outputs are not finite")
        elif limit is not None and figure > limit:
            found.append(f"{image.name}: {title} {figure:.3g} above {limit:g}")
    for title, figure, limit in likenesses:
        if not math.isfinite(figure):
            found.append(f"{image.name}: {title} {figure}: it is not finite")
        elif limit is not None and figure < limit:
            found.append(f"{image.name}: {title} {figure:.6f} below {limit:g}")
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
