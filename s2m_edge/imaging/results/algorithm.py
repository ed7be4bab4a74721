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
        threshold: probability from which a pixel was the class's; None where the largest of several decided, or
            where it is not known.
    """

    name: str
    version: str
    weights_sha256: str = ""
    precision: str = ""
    target: str = ""
    threshold: float | None = None
