"""How an artifact is fed and what running it proves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ARTIFACT_STEM = "s2mnet"
INPUT_NAME = "image"
OUTPUT_NAME = "probabilities"

Verdict = Literal["executed", "artifact parity", "converted, not executed"]


@dataclass(frozen=True)
class TensorInterface:
    """How to feed the artifact.

    Attributes:
        input_dtype: "uint8" where scale, mean and standard deviation are inside the artifact (the input is then the
            fitted picture), "float32" where the caller normalises.
        layout: axis order of the input; "image" for a Core ML image input (an RGB picture of the network's size).
        input_name, output_name: of the artifact's tensors. The output is probabilities, 1 x classes x size x size.
    """

    input_dtype: Literal["uint8", "float32"]
    layout: Literal["NCHW", "NHWC", "image"]
    input_name: str = INPUT_NAME
    output_name: str = OUTPUT_NAME
