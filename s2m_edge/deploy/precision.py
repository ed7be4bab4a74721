"""Precisions, one row each: what an artifact stores and needs, which gates it must pass, and the sentence for people.

Everything that lists, chooses or judges precisions derives from `PRECISION_ROWS`: options and help texts, gates, the
columns of a benchmark, the refusal of a network that does not fit. Only the exporters' branches name one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from s2m_edge.errors import CapabilityError

Precision = Literal["float32", "float16", "float16-mixed", "bfloat16", "int8", "int8-weights", "palette6"]
SpectralLowering = Literal["matmul", "custom"]
SpectralForm = Literal["matmul", "custom", "none"]
"""How an artifact holds the spectral filter; "none": its network has no such filter."""

SPECTRAL_LOWERINGS: tuple[SpectralLowering, ...] = get_args(SpectralLowering)


@dataclass(frozen=True)
class Gate:
    """Limits that every image must keep; None where a precision does not promise that figure.

    What is not finite is outside every gate, whether the figure is limited or not.

    Attributes:
        probability_error: largest absolute difference of probabilities, upper limit.
        mean_probability_error: mean absolute difference over pixels and outputs, upper limit.
        mask_agreement: fraction of pixels with the same label, lower limit.
        mask_dice: Dice between reference and edge mask, lower limit.
    """

    probability_error: float | None
    mean_probability_error: float | None
    mask_agreement: float
    mask_dice: float | None


@dataclass(frozen=True)
class AccuracyGate:
    """Limits of what a stage may lose against another on labelled images, over all of them.

    Attributes:
        mean_dice: loss of the mean Dice.
        worst_dice: loss on any one image.
        mean_hd95: growth of the mean HD95, in pixels; None: not limited.
        both_ways: a gain is as suspicious as a loss: the two should be the same network.
    """

    mean_dice: float
    worst_dice: float
    mean_hd95: float | None = None
    both_ways: bool = False


@dataclass(frozen=True)
class PrecisionRow:
    """One precision.

    Attributes:
        name: what `--precision` takes.
        storage: what the artifact stores, and what the runtime computes in, for people.
        quantized: it lowers a fake-quantized network, and nothing else does.
        gate: parity with the network that it was lowered from.
        accuracy: what its artifact may lose against the float network on labelled images.
        half: whether a device computes in half precision, where values beyond 65504 overflow.
    """

    name: Precision
    storage: str
    quantized: bool
    gate: Gate
    accuracy: AccuracyGate
    half: bool = False


# 0.001: the outline below moves by a third of a pixel, which nobody sees.
HALF_GATE = Gate(probability_error=None, mean_probability_error=0.001, mask_agreement=0.999, mask_dice=0.998)
HALF_AGAINST_FLOAT = AccuracyGate(mean_dice=0.001, worst_dice=0.005, mean_hd95=0.25, both_ways=True)
QUANTIZED_AGAINST_FLOAT = AccuracyGate(mean_dice=0.005, worst_dice=0.05, mean_hd95=1.0)

# What a mean probability error is worth: where an outline of length L moves by d pixels, the probabilities under it
# change by d x L in all, however soft the outline is. Over the picture's area that is the mean error, and the fraction
# of pixels whose label changes as well. So each limit below is the fraction of pixels that may change their label at
# the same precision: probability may be lost as far as labels may, and no further where no label changes (a network
# that is sure of nothing any more, a threshold that a person moves). An object on a tenth of a picture of 352 x 352 has
# an outline of 395 pixels, 0.0032 of the area for each pixel that it moves, and a Dice lower by 0.016.
PRECISION_ROWS: Mapping[str, PrecisionRow] = {
    row.name: row
    for row in (
        PrecisionRow(
            "float32",
            "weights and arithmetic in float32",
            quantized=False,
            # The largest error bounds the mean.
            gate=Gate(probability_error=1e-4, mean_probability_error=None, mask_agreement=0.9999, mask_dice=None),
            accuracy=AccuracyGate(mean_dice=1e-4, worst_dice=1e-3, mean_hd95=0.1, both_ways=True),
        ),
        PrecisionRow(
            "float16",
            "weights in float16; arithmetic too where the target computes in it",
            quantized=False,
            gate=HALF_GATE,
            accuracy=HALF_AGAINST_FLOAT,
            half=True,
        ),
        # The field's mixed precision. What it loses is what float16 may lose.
        PrecisionRow(
            "float16-mixed",
            "weights in float16; arithmetic in float16, in float32 where half precision cannot hold it",
            quantized=False,
            gate=HALF_GATE,
            accuracy=HALF_AGAINST_FLOAT,
            half=True,
        ),
        PrecisionRow(
            "bfloat16",
            "weights in float32, arithmetic in bfloat16 where the processor has it",
            quantized=False,
            # Eight bits of a number where float16 has eleven. 0.002: two thirds of a pixel, the Dice of 0.99.
            gate=Gate(probability_error=None, mean_probability_error=0.002, mask_agreement=0.998, mask_dice=0.99),
            accuracy=AccuracyGate(mean_dice=0.002, worst_dice=0.01, mean_hd95=0.5, both_ways=True),
        ),
        # Against the fake-quantized network. Rounding ties fall differently in every runtime, and each moves a level.
        PrecisionRow(
            "int8",
            "weights and activations in int8, of a quantized network",
            quantized=True,
            # 0.01: three pixels, the Dice of 0.95 that the masks may fall to.
            gate=Gate(probability_error=None, mean_probability_error=0.01, mask_agreement=0.99, mask_dice=0.95),
            accuracy=QUANTIZED_AGAINST_FLOAT,
        ),
        # Against the float network: nothing was trained to make up for these. Least agreement and Dice found on twenty
        # polyp pictures at 352: 0.9991 and 0.9984 for int8-weights, 0.9926 and 0.9839 for palette6.
        PrecisionRow(
            "int8-weights",
            "weights in int8, arithmetic in float16",
            quantized=False,
            # 0.002: two thirds of a pixel, the Dice of 0.99.
            gate=Gate(probability_error=None, mean_probability_error=0.002, mask_agreement=0.998, mask_dice=0.99),
            accuracy=QUANTIZED_AGAINST_FLOAT,
            half=True,
        ),
        PrecisionRow(
            "palette6",
            "weights as one of 64 values each, arithmetic in float16",
            quantized=False,
            # 0.015: 4.7 pixels. Of such an object Dice allows three; of a larger one, more.
            gate=Gate(probability_error=None, mean_probability_error=0.015, mask_agreement=0.985, mask_dice=0.95),
            accuracy=QUANTIZED_AGAINST_FLOAT,
            half=True,
        ),
    )
}
PRECISIONS: tuple[Precision, ...] = tuple(row.name for row in PRECISION_ROWS.values())
DEFAULT_PRECISION: Precision = PRECISIONS[0]


def require_fitting_precision(precision: Precision, quantized: bool, name: str) -> None:
    """Raise CapabilityError unless a network or checkpoint called `name` can be lowered in a precision."""
    if PRECISION_ROWS[precision].quantized == quantized:
        return
    if quantized:
        names = " or ".join(row.name for row in PRECISION_ROWS.values() if row.quantized)
        raise CapabilityError(f"{name} is quantized", f"Export it with --precision {names}.")
    raise CapabilityError(
        f"{name} is a float network, and --precision {precision} lowers a quantized one",
        "Make one with s2m-edge quantize, or name a bundled one: --checkpoint polyp-int8.",
    )
