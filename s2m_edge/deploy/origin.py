"""The float network that an int8 one was made from, as the provenance of a checkpoint or of a bundle says it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def float_origin(provenance: Mapping[str, Any]) -> Mapping[str, Any]:
    """Its `file` and `weights_sha256`; empty where nothing is said of it, or what is no object."""
    found = provenance.get("float")
    return found if isinstance(found, Mapping) else {}
