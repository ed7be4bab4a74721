"""The names of precisions and of spectral lowerings, used wherever one is chosen or reported."""

from __future__ import annotations

from typing import Literal, get_args

Precision = Literal["float32", "float16", "int8", "int8-weights", "palette6"]
SpectralLowering = Literal["matmul", "custom"]

PRECISIONS: tuple[Precision, ...] = get_args(Precision)
SPECTRAL_LOWERINGS: tuple[SpectralLowering, ...] = get_args(SpectralLowering)
