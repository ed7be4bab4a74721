"""Versions of everything that a report has to name."""

from __future__ import annotations

import platform
from importlib import metadata

from s2m_edge import __version__

REPORTED = (
    "torch",
    "numpy",
    "coremltools",
    "coreai-core",
    "coreai-torch",
    "executorch",
    "openvino",
    "onnx",
    "onnxruntime",
    "onnxscript",
)


def installed_version(distribution: str) -> str | None:
    """The version of an installed distribution, or None."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def tool_versions() -> dict[str, str]:
    """Versions of s2m-edge, Python, the platform and the installed packages that take part."""
    found = {name: version for name in REPORTED if (version := installed_version(name)) is not None}
    return {
        "s2m-edge": __version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        **found,
    }
