"""The .mlpackage folder: Manifest.json, the model file that it names, and the weights beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from s2m_edge.errors import ContractError
from s2m_edge.targets.coreml.evaluator.blob import WeightFile
from s2m_edge.targets.coreml.evaluator.schema import model_schema

MODEL_PATH_PREFIX = "@model_path/"
_REMEDY = "Give an .mlpackage that s2m-edge exported, or export it again."


@dataclass(frozen=True)
class CoreMLPackage:
    """A saved model, read but not run.

    Attributes:
        path: the .mlpackage.
        model: its Model message: `description` and `mlProgram`.
        model_folder: where the model file lies; weight files are named relative to it.
    """

    path: Path
    model: Any
    model_folder: Path

    @property
    def metadata(self) -> dict[str, str]:
        """The user-defined metadata."""
        return dict(self.model.description.metadata.userDefined)

    def weight_file(self, name: str) -> WeightFile:
        """The weight file that a constant calls `name` ("@model_path/weights/weight.bin").

        Raises:
            ContractError: it lies outside the package, or is missing or damaged.
        """
        if not name.startswith(MODEL_PATH_PREFIX):
            raise ContractError(f"{self.path} names a weight file outside itself ({name})", _REMEDY)
        return WeightFile(_inside(self.model_folder, name.removeprefix(MODEL_PATH_PREFIX), self.path))


def open_package(path: Path) -> CoreMLPackage:
    """Read the Manifest and the model file of an .mlpackage.

    Raises:
        ContractError: a file is missing or damaged, or the model is not an ML Program.
    """
    manifest_path = path / "Manifest.json"
    try:
        manifest = json.loads(manifest_path.read_text(encoding="utf-8"))
    except OSError:
        raise ContractError(f"{path} is not a Core ML package (no readable Manifest.json)", _REMEDY) from None
    except (ValueError, RecursionError):
        raise ContractError(f"{manifest_path} is not JSON", _REMEDY) from None
    try:
        item = manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]
        relative, author = str(item["path"]), str(item["author"])
    except (KeyError, TypeError):
        raise ContractError(f"{manifest_path} names no root model", _REMEDY) from None
    if author != "com.apple.CoreML":
        raise ContractError(f"{path} is a package of {author}, not of Core ML", _REMEDY)
    model_path = _inside(path / "Data", relative, path)
    return CoreMLPackage(path, _read_model(model_path), model_path.parent)


def _inside(folder: Path, relative: str, package: Path) -> Path:
    parts = PurePosixPath(relative)
    if parts.is_absolute() or ".." in parts.parts:
        raise ContractError(f"{package} names a file outside itself ({relative})", _REMEDY)
    return folder / parts


def _read_model(path: Path) -> Any:
    from google.protobuf.message import DecodeError

    try:
        content = path.read_bytes()
    except OSError as error:
        raise ContractError(f"the model file {path} cannot be read ({error.strerror})", _REMEDY) from None
    model = model_schema().Model()
    try:
        model.ParseFromString(content)
    except DecodeError:
        raise ContractError(f"the model file {path} is damaged", _REMEDY) from None
    kind = model.WhichOneof("Type")
    if kind != "mlProgram":
        raise ContractError(f"{path} holds a model of type {kind}, not an ML Program", _REMEDY)
    return model
