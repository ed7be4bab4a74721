"""Checkpoints: weights, configuration and provenance in one safetensors file.

Matrices are stored as float16, vectors (biases, normalisation, statistics) as float32; the network itself computes in
float32. The metadata holds two JSON texts, `config` and `provenance`, and a format version.

An int8 checkpoint (format version 2) holds the fake-quantized network: a third JSON text, `quantization`, quantized
weights as int8 beside one float32 scale per output channel, and a scale and a zero point per activation. Every target's
int8 artifact derives from this one file.
"""

from s2m_edge.bundled import BUNDLED_CHECKPOINTS, QUANTIZED_SUFFIX
from s2m_edge.checkpoint.header import (
    FORMAT,
    FORMAT_VERSION,
    QUANTIZED_FORMAT_VERSION,
    CheckpointHeader,
    figures_of,
    network_spec,
    read_header,
    without_figures,
)
from s2m_edge.checkpoint.loading import ResampledFilterWarning, load_model, load_network
from s2m_edge.checkpoint.places import is_bundled, locate_checkpoint, locate_model
from s2m_edge.checkpoint.relatives import (
    GUARD_SUFFIX,
    bundled_with_weights,
    checkpoint_for,
    guard_beside,
    quantized_counterpart,
    require_float,
)
from s2m_edge.checkpoint.writing import (
    record_provenance,
    require_unchanged,
    save_checkpoint,
    save_quantized_checkpoint,
    with_provenance,
)

__all__ = [
    "BUNDLED_CHECKPOINTS",
    "FORMAT",
    "FORMAT_VERSION",
    "GUARD_SUFFIX",
    "QUANTIZED_FORMAT_VERSION",
    "QUANTIZED_SUFFIX",
    "CheckpointHeader",
    "ResampledFilterWarning",
    "bundled_with_weights",
    "checkpoint_for",
    "figures_of",
    "guard_beside",
    "is_bundled",
    "load_model",
    "load_network",
    "locate_checkpoint",
    "locate_model",
    "network_spec",
    "quantized_counterpart",
    "read_header",
    "record_provenance",
    "require_float",
    "require_unchanged",
    "save_checkpoint",
    "save_quantized_checkpoint",
    "with_provenance",
    "without_figures",
]
