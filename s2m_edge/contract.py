"""The deployment contract: everything an app must do before and after the network, as one JSON file.

Its schema is `schemas/contract-1.json`; apps in any language read the same file.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from s2m_edge.errors import ContractError
from s2m_edge.imaging.preprocess import Preprocessing

SCHEMA_VERSION = 1
CONTRACT_FILE = "contract.json"
SCHEMA_PATH = Path(__file__).parent / "schemas" / f"contract-{SCHEMA_VERSION}.json"
NOTICE = "Research use only. Not a medical device."
INTENDED_USE = (
    "Research on segmentation of images like those that the checkpoint was trained on. "
    "Not for diagnosis, treatment or any other clinical decision."
)
RESIZE_RULE = "triangle, half-pixel centres, radius max(1, in/out), columns first, rounded half up to 8 bits"
DEFAULT_THRESHOLD = 0.5


@dataclass(frozen=True)
class SegmentClass:
    """One foreground class: its name and its RGB colour, 0..255."""

    name: str
    colour: tuple[int, int, int]


PALETTE: tuple[tuple[int, int, int], ...] = (
    (0, 200, 120),
    (240, 160, 0),
    (60, 130, 255),
    (230, 70, 160),
    (160, 220, 40),
    (130, 90, 240),
    (0, 190, 220),
    (250, 110, 60),
    (150, 110, 70),
    (250, 220, 60),
    (120, 140, 160),
    (190, 60, 60),
)


def default_classes(classes: int, names: tuple[str, ...] = ()) -> tuple[SegmentClass, ...]:
    """Foreground classes of a network with `classes` output channels (one, or background and others)."""
    count = 1 if classes == 1 else classes - 1
    unnamed = ["foreground"] if count == 1 else [f"class {index}" for index in range(1, count + 1)]
    given = [*names, *unnamed[len(names) :]][:count]
    return tuple(SegmentClass(name, PALETTE[index % len(PALETTE)]) for index, name in enumerate(given))


@dataclass(frozen=True)
class Contract:
    """A validated contract; `values` is the JSON object itself, the properties are what Python uses of it."""

    values: dict[str, Any]

    @property
    def target(self) -> str:
        return self.values["target"]

    @property
    def precision(self) -> Any:
        return self.values["precision"]

    @property
    def spectral(self) -> Any:
        return self.values["spectral"]

    @property
    def threshold(self) -> float:
        return float(self.values["postprocessing"]["threshold"])

    @property
    def preprocessing(self) -> Preprocessing:
        entry = self.values["preprocessing"]
        return Preprocessing(
            size=entry["size"],
            channels=entry["channels"],
            scale=entry["scale"],
            mean=tuple(entry["mean"]),
            standard_deviation=tuple(entry["standard_deviation"]),
        )

    @property
    def classes(self) -> tuple[SegmentClass, ...]:
        return tuple(SegmentClass(entry["name"], tuple(entry["colour"])) for entry in self.values["classes"])


@cache
def contract_schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of this version."""
    return json.loads(SCHEMA_PATH.read_text(encoding="utf-8"))


def validate_contract(values: Any, source: str) -> Contract:
    """Check a contract against the schema.

    Raises:
        ContractError: from a newer version, or not a contract.
    """
    import jsonschema

    if not isinstance(values, dict) or not isinstance(values.get("schema_version"), int):
        raise ContractError(f"{source} is not a deployment contract", "Export the bundle again.")
    if values["schema_version"] > SCHEMA_VERSION:
        raise ContractError(
            f"{source} follows contract version {values['schema_version']}, newer than this s2m-edge reads "
            f"({SCHEMA_VERSION})",
            "Update s2m-edge, or export the bundle with this version.",
        )
    try:
        jsonschema.validate(values, contract_schema())
    except jsonschema.ValidationError as error:
        where = "/".join(str(part) for part in error.absolute_path) or "its top level"
        raise ContractError(f"{source} is damaged at {where} ({error.message})", "Export the bundle again.") from None
    return Contract(values)


def read_contract(bundle: Path) -> Contract:
    """The contract of a bundle folder.

    Raises:
        ContractError: no bundle, unreadable JSON, damaged, or from a newer version.
    """
    path = bundle / CONTRACT_FILE
    if not path.is_file():
        raise ContractError(f"{bundle} is not a bundle: it has no {CONTRACT_FILE}", "Make one with s2m-edge export.")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ContractError(f"{path} is not readable JSON ({error})", "Export the bundle again.") from None
    return validate_contract(values, str(path))
