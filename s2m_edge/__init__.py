"""s2m-edge: S2M-Net from a folder of images to the edge, with proof at every step. Re-exports only."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from s2m_edge.checkpoint import load_model
    from s2m_edge.config import S2MNetConfig
    from s2m_edge.errors import S2MEdgeError
    from s2m_edge.model import S2MNet

__version__ = "0.1.0"

# Resolved on first use (PEP 562), so that importing the package, and with it the command line, does not import torch.
_HOMES = {
    "S2MEdgeError": "s2m_edge.errors",
    "S2MNet": "s2m_edge.model",
    "S2MNetConfig": "s2m_edge.config",
    "load_model": "s2m_edge.checkpoint",
}

__all__ = ["S2MEdgeError", "S2MNet", "S2MNetConfig", "__version__", "load_model"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
