"""Core ML packages whose weights alone are small: int8 per channel, or six bits and a table. They compute in float16.

Only convolutions are compressed. The spectral filter's matrices and gains are constants of other operations and stay:
they are few, and an error in them reaches every pixel.
"""

from __future__ import annotations

from typing import Any

PALETTE_BITS = 6
SMALLEST_COMPRESSED = 16_384
"""Weights in the smallest kernel that is compressed. The 62 smaller ones of 93 (depthwise, squeeze-excitation, the
first and last stages) hold 6 % of all weights and make most of the error: docs/quantization.md has the figures."""


def compress_weights(model: Any, precision: str) -> Any:
    """A copy of an ML program with the convolutions' weights compressed.

    Args:
        model: a `ct.models.MLModel` in float16.
        precision: "int8-weights" or "palette6".
    """
    import coremltools.optimize.coreml

    cto: Any = coremltools.optimize.coreml  # its annotations say less than it takes

    if precision == "int8-weights":
        chosen = cto.OpLinearQuantizerConfig(mode="linear_symmetric", weight_threshold=SMALLEST_COMPRESSED)
        return cto.linear_quantize_weights(model, cto.OptimizationConfig(op_type_configs={"conv": chosen}))
    chosen = cto.OpPalettizerConfig(mode="kmeans", nbits=PALETTE_BITS, weight_threshold=SMALLEST_COMPRESSED)
    return cto.palettize_weights(model, cto.OptimizationConfig(op_type_configs={"conv": chosen}))
