"""The extension library that knows the node SpectralFilter: what it is built from, and which models need it."""

from __future__ import annotations

import importlib.util
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from s2m_edge.errors import MissingBackendError
from s2m_edge.native import NativeLibrary, build_library
from s2m_edge.targets.registry import find_target

NODE_TYPE = "SpectralFilter"
OPERATION_SET = "s2m_edge"
_SOURCE = Path(__file__).resolve().parent / "native"


def extension_library() -> NativeLibrary:
    """What the library is built from: our sources and the installed openvino wheel.

    Raises:
        MissingBackendError: openvino is not installed.
    """
    target = find_target("openvino")
    target.require_backend()
    found = importlib.util.find_spec(target.module)
    if found is None or found.origin is None:
        raise MissingBackendError("the openvino package has no folder", "Install it again: pip install openvino.")
    wheel = Path(found.origin).parent
    return NativeLibrary(
        name="s2m_edge_openvino",
        source=_SOURCE,
        versions={target.distribution: target.version() or ""},
        definitions={"OpenVINO_DIR": str(wheel / "cmake")},
    )


def build_extension() -> Path:
    """The extension library's file, for `Core.add_extension` and `convert_model(extension=...)`.

    Raises:
        NativeBuildError: it cannot be built here.
    """
    return build_library(extension_library())


def count_spectral_nodes(network: ElementTree.Element) -> int:
    """How many SpectralFilter nodes an IR holds; with any, the IR is read only with the extension.

    Args:
        network: the .xml's root element.
    """
    return sum(
        layer.get("type") == NODE_TYPE and layer.get("version") == OPERATION_SET for layer in network.iter("layer")
    )
