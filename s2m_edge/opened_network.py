"""A network with what it says of itself: from a checkpoint, or one that is there already."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from s2m_edge.checkpoint import (
    CheckpointHeader,
    bundled_with_weights,
    checkpoint_for,
    load_network,
    network_spec,
    read_header,
)
from s2m_edge.deploy.bundle import Bundle
from s2m_edge.deploy.origin import float_origin
from s2m_edge.deploy.precision import Precision
from s2m_edge.deploy.soundness import require_sound_network
from s2m_edge.deploy.spec import NetworkSpec
from s2m_edge.errors import ConfigurationError, ContractError

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class OpenedNetwork:
    """A network and its specification; `header` is its checkpoint's, None of a network of the user's."""

    network: nn.Module
    spec: NetworkSpec
    header: CheckpointHeader | None = None

    @property
    def domain(self) -> str | None:
        """Whose sample pictures show what it segments."""
        found = self.spec.provenance.get("domain")
        return found if isinstance(found, str) else None

    def require_origin_of(self, bundle: Bundle) -> None:
        """Raise ContractError unless a bundle was exported from this network.

        The weights of an int8 bundle are the rounded ones; it names those that they were made from.
        """
        entry = bundle.contract.values["checkpoint"]
        origin = float_origin(entry["provenance"]).get("weights_sha256")
        known = (bundle.contract.weights_sha256, *((origin,) if self.header is None else ()))
        if self.spec.weights_sha256 in known:
            return
        option = "--weights" if self.header is None else "--checkpoint"
        raise ContractError(
            f"{self.spec.file or self.spec.architecture} does not have the weights that {bundle.folder} was exported "
            "from (SHA-256 differs)",
            f"Give {option} {entry['file'] or 'as they were'}.",
        )


def open_checkpoint(
    path: Path | str | None = None, size: int | None = None, precision: Precision | None = None
) -> OpenedNetwork:
    """The network of a checkpoint: a file, or a bundled one by name.

    Args:
        size: input size in pixels; the checkpoint's own by default.
        precision: of an artifact; its checkpoint is then the one that `checkpoint_for` finds.

    Raises:
        CheckpointError, ConfigurationError: see `read_header`, `checkpoint_for` and `load_network`.
    """
    header = read_header(path) if precision is None else checkpoint_for(path, precision)
    return OpenedNetwork(load_network(header, size=size), network_spec(header, size), header)


def open_model(
    model: nn.Module | Path | str, spec: NetworkSpec | None = None, precision: Precision | None = None
) -> OpenedNetwork:
    """What a caller in Python names as a network: a module with its specification, or a checkpoint.

    Raises:
        ConfigurationError: a module without a specification or unlike it, or a checkpoint with one.
        CheckpointError: see `open_checkpoint`.
    """
    if isinstance(model, str | Path):
        if spec is not None:
            raise ConfigurationError("a checkpoint brings its specification", "Leave spec out.")
        return open_checkpoint(model, precision=precision)
    if spec is None:
        raise ConfigurationError(
            f"the network {type(model).__name__} came without a specification",
            "Give spec; s2m_edge.make_spec makes it.",
        )
    require_sound_network(model.eval(), spec)
    return OpenedNetwork(model, spec.of(model))


def checkpoint_of(bundle: Bundle, given: Path | str | None = None) -> Path | str | None:
    """The checkpoint that a bundle came from, as far as it can be told without opening it: the one that is given, or a
    bundled one with the same weights.

    Raises:
        ContractError: none was given, and it is of another kind of network.
    """
    found = given if given is not None else bundled_with_weights(bundle.contract.weights_sha256)
    architecture = bundle.contract.values["network"]["architecture"]
    if found is None and architecture != "S2M-Net":
        raise ContractError(
            f"{bundle.folder} is of the network {architecture}, which is no checkpoint",
            f"Give --network {architecture} with its --weights and --spec.",
        )
    return found
