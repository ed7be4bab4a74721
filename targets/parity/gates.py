"""The one table of parity thresholds. No other file states one."""

from __future__ import annotations

from dataclasses import dataclass

from s2m_edge.precision import Precision
from s2m_edge.targets.parity.compare import ImageParity


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
    "int8": Gate(probability_error=None, mask_agreement=0.98, mask_dice=0.9),
}


def breaches(gate: Gate, image: ImageParity) -> list[str]:
    """What of `image` is outside `gate`, as sentences that name the image and the figure; empty when it holds.

    A figure that is not a number is a breach.
    """
    found: list[str] = []
    if gate.probability_error is not None and not image.max_probability_error <= gate.probability_error:
        found.append(
            f"{image.name}: largest probability error {image.max_probability_error:.3g} "
            f"above {gate.probability_error:g}"
        )
    if not image.mask_agreement >= gate.mask_agreement:
        found.append(f"{image.name}: mask agreement {image.mask_agreement:.6f} below {gate.mask_agreement:g}")
    if gate.mask_dice is not None and not image.mask_dice >= gate.mask_dice:
        found.append(f"{image.name}: Dice between masks {image.mask_dice:.6f} below {gate.mask_dice:g}")
    return found
