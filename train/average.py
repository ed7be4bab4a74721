"""Averaging the weights of trained networks: one network out of several runs, as fast as each of them.

Runs that start from the same weights end in one basin, and the mean of their weights is often more accurate than any of
them ("model soups", Wortsman et al., ICML 2022). With a negative factor what one training changed is carried over to
another network ("task arithmetic", Ilharco et al., ICLR 2023): A + B - C adds to A what training changed from C to B,
for instance at another resolution.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s2m_edge.checkpoint import (
    CheckpointHeader,
    load_model,
    read_header,
    require_float,
    save_checkpoint,
    without_figures,
)
from s2m_edge.errors import CheckpointError, ConfigurationError

if TYPE_CHECKING:
    from torch import Tensor

VARIANCE = ".running_var"


@dataclass(frozen=True)
class Share:
    """A float checkpoint, a file or a bundled one's name, and the factor of its weights."""

    checkpoint: Path
    factor: float


def average_checkpoints(shares: Sequence[Share], out: Path, *, size: int | None = None) -> CheckpointHeader:
    """Write the weighted sum of checkpoints of one layout and return what the file says of itself.

    Every tensor is summed in float64, BatchNorm's statistics too. Nothing is said about accuracy: evaluate the result.

    Args:
        shares: at least two; their factors sum to one.
        out: the file.
        size: input size in pixels; that of the checkpoints by default. Filters of others are resampled over frequency.

    Raises:
        CheckpointError: missing, truncated, quantized, of different layouts or classes, or their sum is no network.
        ConfigurationError: factors that do not sum to one, or sizes that differ with none chosen.
        OutputError: `out` cannot be written.
    """
    if len(shares) < 2:
        raise ConfigurationError("one checkpoint is its own average", "Give at least two.")
    total = sum(share.factor for share in shares)
    if not abs(total - 1) <= 1e-6:  # not a number is no sum either
        raise ConfigurationError(f"the factors sum to {total:g}", "Choose such as sum to 1, for instance 1,1,-1.")
    headers = [read_header(share.checkpoint) for share in shares]
    _require_alike(headers)
    if size is None:
        size = _common_size(headers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # resampling filters is what was asked for
        model = load_model(headers[0].path, size=size)
        summed: dict[str, Tensor] = {}
        for header, share in zip(headers, shares, strict=True):
            for name, tensor in load_model(header.path, size=size).state_dict().items():
                if tensor.is_floating_point():
                    term = tensor.double() * share.factor
                    summed[name] = summed[name] + term if name in summed else term
    for name, tensor in summed.items():
        if name.endswith(VARIANCE) and bool((tensor <= 0).any()):
            raise CheckpointError(
                f"the sum's {name} is not positive",
                "The networks are too far apart: choose factors nearer to a mean.",
            )
    model.load_state_dict({**model.state_dict(), **{name: tensor.float() for name, tensor in summed.items()}})
    save_checkpoint(out, model, _provenance(headers, shares, size))
    return read_header(out)


def _require_alike(headers: Sequence[CheckpointHeader]) -> None:
    first = headers[0]
    for header in headers:
        require_float(header)
        if replace(header.config, size=first.config.size) != first.config:
            raise CheckpointError(
                f"{header.path} has another layout than {first.path}", "Average networks of one layout, trained alike."
            )
        if header.provenance.get("class_names") != first.provenance.get("class_names"):
            raise CheckpointError(
                f"{header.path} was trained for {_class_names(header)}, {first.path} for {_class_names(first)}",
                "Average networks of the same classes.",
            )


def _class_names(header: CheckpointHeader) -> str:
    return ", ".join(header.provenance.get("class_names") or ()) or "classes without names"


def _common_size(headers: Sequence[CheckpointHeader]) -> int:
    sizes = sorted({header.config.size for header in headers})
    if len(sizes) > 1:
        raise ConfigurationError(
            f"the checkpoints are of {', '.join(map(str, sizes))} pixels", f"Choose one with --size, say {sizes[-1]}."
        )
    return sizes[0]


def _provenance(headers: Sequence[CheckpointHeader], shares: Sequence[Share], size: int) -> dict[str, Any]:
    """What all say alike, figures excepted; and as a last phase what was summed, and how each came there."""
    first = without_figures(headers[0].provenance)
    alike = {key: value for key, value in first.items() if all(h.provenance.get(key) == value for h in headers)}
    histories = [list(header.provenance.get("phases", ())) for header in headers]
    common: list[Any] = []
    for entries in zip(*histories, strict=False):
        if any(entry != entries[0] for entry in entries):
            break
        common.append(entries[0])
    terms = [
        {"file": header.path.name, "sha256": header.sha256, "factor": share.factor, "phases": history[len(common) :]}
        for header, share, history in zip(headers, shares, histories, strict=True)
    ]
    return {**alike, "phases": [*common, {"size": size, "weights": "weighted sum of checkpoints", "of": terms}]}
