"""Which file belongs to which: an int8 checkpoint to its float form, a guard to both."""

from __future__ import annotations

from pathlib import Path

from s2m_edge.bundled import BUNDLED_CHECKPOINTS, QUANTIZED_SUFFIX
from s2m_edge.checkpoint.header import CheckpointHeader, read_header
from s2m_edge.deploy.origin import float_origin
from s2m_edge.deploy.precision import PRECISION_ROWS, Precision, require_fitting_precision
from s2m_edge.errors import CheckpointError

GUARD_SUFFIX = "-guard.safetensors"


def require_float(header: CheckpointHeader) -> None:
    """Raise CheckpointError if the checkpoint is quantized already."""
    if header.quantization is not None:
        raise CheckpointError(f"{header.path} is quantized already", "Give the float checkpoint that it was made from.")


def bundled_with_weights(sha256: str) -> Path | None:
    """The bundled checkpoint whose weights have this SHA-256, or None."""
    files = (path for path in BUNDLED_CHECKPOINTS.values() if path.is_file())
    return next((path for path in files if read_header(path).weights_sha256 == sha256), None)


def quantized_counterpart(header: CheckpointHeader) -> Path | None:
    """The bundled int8 checkpoint that was made from a float one, or None."""
    for name, path in BUNDLED_CHECKPOINTS.items():
        if name.endswith(QUANTIZED_SUFFIX) and path.is_file():
            origin = float_origin(read_header(path).provenance)
            if origin.get("weights_sha256") == header.weights_sha256:
                return path
    return None


def guard_beside(header: CheckpointHeader) -> Path | None:
    """The input guard that lies beside a checkpoint as NAME-guard.safetensors, or None; an int8 checkpoint has its
    float form's, which was trained on the same pictures."""
    stem = header.path.stem
    names = [stem] if header.quantization is None else [stem, stem.removesuffix(QUANTIZED_SUFFIX)]
    places = [header.path.with_name(f"{name}{GUARD_SUFFIX}") for name in names]
    return next((place for place in places if place.is_file()), None)


def checkpoint_for(path: str | Path | None, precision: Precision) -> CheckpointHeader:
    """The checkpoint that an artifact of a precision is made from: the one that is named, or its bundled int8 form
    where the precision takes a quantized network and a float one was named.

    Raises:
        CheckpointError: missing, truncated, or not written by s2m-edge.
        CapabilityError: it is not of the kind that the precision takes.
    """
    header = read_header(path)
    if PRECISION_ROWS[precision].quantized and header.quantization is None:
        header = read_header(quantized_counterpart(header) or header.path)
    require_fitting_precision(precision, header.quantization is not None, header.path.name)
    return header
