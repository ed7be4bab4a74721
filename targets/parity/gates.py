"""The one table of parity thresholds. No other file states one."""

from __future__ import annotations

import math
from dataclasses import dataclass

from s2m_edge.precision import Precision
from s2m_edge.targets.parity.compare import ImageParity
from s2m_edge.targets.parity.difference import Difference


@dataclass(frozen=True)
class Gate:
    """Limits that every image must keep; None where a precision does not promise that figure.

    Attributes:
        probability_error: largest absolute difference of probabilities, upper limit.
        mask_agreement: fraction of pixels with the same label, lower limit.
        mask_dice: Dice between reference and edge mask, lower limit.
    """

    probability_error: float | None
    mask_agreement: float
    mask_dice: float | None


GATES: dict[Precision, Gate] = {
    "float32": Gate(probability_error=1e-4, mask_agreement=0.9999, mask_dice=None),
    "float16": Gate(probability_error=None, mask_agreement=0.999, mask_dice=0.998),
    # Against the fake-quantized network. Rounding ties fall differently in every runtime, and each moves a level.
    "int8": Gate(probability_error=None, mask_agreement=0.99, mask_dice=0.95),
    # Against the float network: nothing was trained to make up for these. Least agreement and Dice found on twenty
    # polyp pictures at 352: 0.9991 and 0.9984 for int8-weights, 0.9926 and 0.9839 for palette6.
    "int8-weights": Gate(probability_error=None, mask_agreement=0.998, mask_dice=0.99),
    "palette6": Gate(probability_error=None, mask_agreement=0.985, mask_dice=0.95),
}


@dataclass(frozen=True)
class AccuracyGate:
    """Limits of what a stage may lose against another on labelled images, over all of them.

    Attributes:
        mean_dice: loss of the mean Dice.
        worst_dice: loss on any one image; None: not limited.
        mean_hd95: growth of the mean HD95, in pixels; None: not limited.
        both_ways: a gain is as suspicious as a loss: the two should be the same network.
    """

    mean_dice: float
    worst_dice: float | None = None
    mean_hd95: float | None = None
    both_ways: bool = False


INT8_AGAINST_FLOAT = AccuracyGate(mean_dice=0.005, worst_dice=0.05, mean_hd95=1.0)
ACCURACY_GATES: dict[tuple[str, str], AccuracyGate] = {
    ("float", "decomposed"): AccuracyGate(mean_dice=1e-4, worst_dice=1e-3, mean_hd95=0.1, both_ways=True),
    ("float", "fake-quantized"): INT8_AGAINST_FLOAT,
    ("fake-quantized", "converted"): AccuracyGate(mean_dice=0.002, both_ways=True),
    ("fake-quantized", "runtime"): AccuracyGate(mean_dice=0.002, both_ways=True),
    ("float", "runtime"): INT8_AGAINST_FLOAT,
    ("float", "float32"): AccuracyGate(mean_dice=1e-4, worst_dice=1e-3, mean_hd95=0.1, both_ways=True),
    ("float", "float16"): AccuracyGate(mean_dice=0.001, worst_dice=0.005, mean_hd95=0.25, both_ways=True),
    ("float", "int8-weights"): INT8_AGAINST_FLOAT,
    ("float", "palette6"): INT8_AGAINST_FLOAT,
}
"""By reference and stage; see `s2m_edge.targets.parity.stages`. Artifacts of a float checkpoint are stages named
by their precision."""


def accuracy_breaches(gate: AccuracyGate, entry: Difference) -> list[str]:
    """What of a difference is outside its gate, as sentences; a figure that is not a number is."""
    where = (
        f"{entry.stage} ({entry.name}) against {entry.reference}: "
        if entry.name != entry.stage
        else (f"{entry.stage} against {entry.reference}: ")
    )
    found: list[str] = []
    moved = abs(entry.mean_dice) if gate.both_ways else -entry.mean_dice
    if not moved <= gate.mean_dice:
        found.append(f"{where}mean Dice {entry.mean_dice:+.4f}, allowed {gate.mean_dice:g}")
    if gate.worst_dice is not None and not -entry.worst_dice <= gate.worst_dice:
        found.append(f"{where}{entry.worst_image}: Dice {entry.worst_dice:+.4f}, allowed {gate.worst_dice:g}")
    far = abs(entry.mean_hd95) if gate.both_ways else entry.mean_hd95
    if gate.mean_hd95 is not None and (math.isnan(far) or far > gate.mean_hd95):
        found.append(f"{where}mean HD95 {entry.mean_hd95:+.2f} pixels, allowed {gate.mean_hd95:g}")
    return found


def breaches(gate: Gate, image: ImageParity) -> list[str]:
    """What of `image` is outside `gate`, as sentences that name the image and the figure; empty when it holds.

    A figure that is not a number is a breach.
    """
    found: list[str] = []
    if math.isnan(image.max_probability_error):
        found.append(f"{image.name}: the largest probability error is nan: outputs are no numbers")
    elif gate.probability_error is not None and not image.max_probability_error <= gate.probability_error:
        found.append(
            f"{image.name}: largest probability error {image.max_probability_error:.3g} "
            f"above {gate.probability_error:g}"
        )
    if not image.mask_agreement >= gate.mask_agreement:
        found.append(f"{image.name}: mask agreement {image.mask_agreement:.6f} below {gate.mask_agreement:g}")
    if gate.mask_dice is not None and not image.mask_dice >= gate.mask_dice:
        found.append(f"{image.name}: Dice between masks {image.mask_dice:.6f} below {gate.mask_dice:g}")
    return found
