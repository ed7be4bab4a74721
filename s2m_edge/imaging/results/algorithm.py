"""What made the labels, as every output names it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Algorithm:
    """A network as it ran.

    Attributes:
        name: of the network.
        version: of the toolkit that exported it.
        weights_sha256: its identity, 64 hexadecimal digits; empty where it is not known.
        precision: of the artifact.
        target: the runtime that ran it.
    """

    name: str
    version: str
    weights_sha256: str = ""
    precision: str = ""
    target: str = ""
