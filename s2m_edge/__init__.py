"""s2m-edge: segmentation networks from a folder of images to the edge, with proof at every step. Re-exports only."""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

from s2m_edge import telemetry

if TYPE_CHECKING:
    from s2m_edge.api import Scores, evaluate, export, parity
    from s2m_edge.checkpoint import load_model
    from s2m_edge.deploy.spec import NetworkSpec, make_spec, read_spec
    from s2m_edge.errors import S2MEdgeError
    from s2m_edge.network.config import S2MNetConfig
    from s2m_edge.network.model import S2MNet
    from s2m_edge.targets.measure.parity.report import ParityReport
    from s2m_edge.targets.predict import LoadedBundle, Prediction, load_bundle

__version__ = "0.1.0"

telemetry.turn_off()  # here, because MONAI and PyTorch may import a runtime before a target does

# Importing MONAI imports whatever it finds, among it torchao, which then says which of its GPU kernels it did not load.
# nibabel remarks on headers that it mends.
for _name in ("torchao", "torch.utils._pytree", "nibabel.global"):
    logging.getLogger(_name).setLevel(logging.ERROR)

# Resolved on first use (PEP 562), so that importing the package, and with it the command line, does not import torch.
_HOMES = {
    "LoadedBundle": "s2m_edge.targets.predict",
    "NetworkSpec": "s2m_edge.deploy.spec",
    "ParityReport": "s2m_edge.targets.measure.parity.report",
    "Prediction": "s2m_edge.targets.predict",
    "S2MEdgeError": "s2m_edge.errors",
    "S2MNet": "s2m_edge.network.model",
    "S2MNetConfig": "s2m_edge.network.config",
    "Scores": "s2m_edge.api",
    "evaluate": "s2m_edge.api",
    "export": "s2m_edge.api",
    "load_bundle": "s2m_edge.targets.predict",
    "load_model": "s2m_edge.checkpoint",
    "make_spec": "s2m_edge.deploy.spec",
    "parity": "s2m_edge.api",
    "read_spec": "s2m_edge.deploy.spec",
}

__all__ = [
    "LoadedBundle",
    "NetworkSpec",
    "ParityReport",
    "Prediction",
    "S2MEdgeError",
    "S2MNet",
    "S2MNetConfig",
    "Scores",
    "__version__",
    "evaluate",
    "export",
    "load_bundle",
    "load_model",
    "make_spec",
    "parity",
    "read_spec",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
