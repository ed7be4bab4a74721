"""The protobuf schema of Core ML's model files, without the converter around it."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from s2m_edge.errors import MissingBackendError
from s2m_edge.installation import install_command

_ALIAS = "_s2m_edge_coreml_schema"


def model_schema() -> Any:
    """The generated module `Model_pb2` of coremltools.

    `import coremltools` brings in the converters, and with them sklearn, torchao and executorch: ten seconds and a
    page of warnings, and code that the evaluator must be independent of. The generated protobuf modules import each
    other relatively, so their folder is loaded as a package of its own.

    Raises:
        MissingBackendError: coremltools is not installed.
    """
    loaded = sys.modules.get("coremltools.proto.Model_pb2")
    if loaded is not None:
        return loaded
    found = importlib.util.find_spec("coremltools")
    if found is None or not found.submodule_search_locations:
        raise MissingBackendError(
            "the evaluator needs coremltools' protobuf schema, which is not installed",
            f"Install it with: {install_command('coreml')}.",
        )
    if _ALIAS not in sys.modules:
        package = ModuleType(_ALIAS)
        package.__path__ = [str(Path(found.submodule_search_locations[0]) / "proto")]
        sys.modules[_ALIAS] = package
    return importlib.import_module(f"{_ALIAS}.Model_pb2")
