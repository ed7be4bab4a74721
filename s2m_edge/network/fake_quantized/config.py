"""What is quantized and how, as data; part of every int8 checkpoint."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from s2m_edge.errors import ConfigurationError

LOWEST, HIGHEST = -128, 127
"""The range of int8 activations."""

LOWEST_FLOOR = 100.0
"""How far down `elu_floor` may lie: exp(-100) is 0 in float32, and beyond nothing is told apart."""

STAGES = 5
DECODERS = 4


def block_names() -> tuple[str, ...]:
    """The blocks that can be quantized, in the order of the network, by the paths of their modules.

    "down" is the strided convolution in front of a stage, "mixer" the convolutions of an SSTM (spatial branch and
    fusion), "spectral" the input and output of its spectral filter, "norm" the outputs of its LayerNorms; "classifier"
    is the network's last convolution.
    """
    parts = ("down", "receptive", "mixer", "spectral", "norm")
    return (
        "stem",
        *(f"encoder.{stage}.{part}" for stage in range(STAGES) for part in parts),
        *(f"decoder.{block}" for block in range(DECODERS)),
        "head",
        "classifier",
    )


FIRST = ("stem", "encoder.0.down")
"""The first two convolutions, 1.8 % of all products. A step of their results is alike all over an area of one colour:
such errors do not average out, and reach every later block."""

FLOAT_PARTS = ("mixer", "spectral", "norm", "classifier")


def default_float_blocks() -> tuple[str, ...]:
    """What stays in float unless a configuration says otherwise; docs/quantization.md has the measurements."""
    return tuple(name for name in block_names() if name in FIRST or name.rsplit(".", 1)[-1] in FLOAT_PARTS)


@dataclass(frozen=True)
class QuantizationConfig:
    """int8 for both weights and activations, from one rule for every target.

    Activations: int8, affine, one scale and zero point per tensor, fixed after calibration. Weights: int8, symmetric,
    one scale per output channel. Biases, and everything in `float_blocks`, stay float32.

    Attributes:
        weight_limit: largest absolute value of a quantized weight. 127 is all of int8. Processors without VNNI add two
            products of u8 and i8 in 16 bits, which saturate above 64: with 63 they cannot.
        elu_floor: what lies below is clipped in front of an ELU, whose value there is within exp(elu_floor) of -1; a
            range that goes further down would spend its steps on differences that ELU removes.
        float_blocks: names of `block_names` that are not quantized.
    """

    weight_limit: int = 63
    elu_floor: float = -5.0
    float_blocks: tuple[str, ...] = default_float_blocks()

    def __post_init__(self) -> None:
        whole = isinstance(self.weight_limit, int) and not isinstance(self.weight_limit, bool)
        if not whole or not 1 <= self.weight_limit <= HIGHEST:
            raise ConfigurationError(
                f"weight_limit is {self.weight_limit}", f"It must be a whole number in 1..{HIGHEST}."
            )
        if not -LOWEST_FLOOR <= self.elu_floor < 0:
            raise ConfigurationError(f"elu_floor is {self.elu_floor}", f"It must lie in [-{LOWEST_FLOOR:g}, 0).")
        unknown = sorted(set(self.float_blocks) - set(block_names()))
        if unknown:
            raise ConfigurationError(f"there is no block {unknown[0]!r}", f"Blocks are {', '.join(block_names())}.")

    def quantizes(self, block: str) -> bool:
        return block not in self.float_blocks

    def to_dict(self) -> dict[str, Any]:
        """JSON values; `from_dict` is the inverse."""
        return {**asdict(self), "float_blocks": list(self.float_blocks)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> QuantizationConfig:
        """The inverse of `to_dict`, also after a round trip through JSON.

        Raises:
            ConfigurationError: a field is unknown or out of range.
        """
        blocks = values.get("float_blocks", [])
        try:
            if not isinstance(blocks, list | tuple):
                raise TypeError("float_blocks is no list")
            return cls(**{**values, "float_blocks": tuple(blocks)})
        except TypeError as error:
            raise ConfigurationError(
                f"the quantization does not fit this version ({error})",
                "Update s2m-edge, or use a checkpoint that it wrote.",
            ) from None
