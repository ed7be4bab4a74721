"""Coded concepts of classes, which a DICOM segmentation has to name: bundled networks' own, or a user's file.

The bundled ones are of the context groups of DICOM's PS3.16, whose SNOMED CT codes implementers may use without a
fee. They go by the network's domain and the name of the class: a network of livers may have vessels too, which are no
retina's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import s2m_edge
from s2m_edge.bundled import ASSETS
from s2m_edge.errors import ConfigurationError
from s2m_edge.imaging.classes import SegmentClass
from s2m_edge.text_files import read_text

SCHEMA_PATH = Path(s2m_edge.__file__).parent / "schemas" / "codes-1.json"
TABLE_PATH = ASSETS / "codes.json"
LONGEST_FILE = 2**20
"""Characters."""

REMEDY = "Give codes with --codes FILE: JSON, by class a category and a type, each with value, scheme and meaning."


@dataclass(frozen=True)
class Code:
    """A coded concept: its value in a scheme (SCT is SNOMED CT), and what it means, for people."""

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True)
class ClassCode:
    """What a class is.

    Attributes:
        category: of the property that was segmented, say an anatomical structure.
        type: the property itself.
        modifier: of the type.
        region: the part of the body.
        laterality: of the region.
        colour: RGB, 0..255, to show it in; None: the class's own.
    """

    category: Code
    type: Code
    modifier: Code | None = None
    region: Code | None = None
    laterality: Code | None = None
    colour: tuple[int, int, int] | None = None


Codes = Mapping[str, ClassCode]
"""By the name of the class."""


def bundled_codes(domain: str) -> Codes:
    """The codes of a domain (`domain` in a checkpoint's provenance); none of a domain that is not known."""
    return {name: _class_code(entry) for name, entry in _table().get(domain, {}).items()}


def load_codes(path: Path) -> Codes:
    """A user's codes.

    Raises:
        ConfigurationError: it cannot be read, is no strict JSON, or is not what schemas/codes-1.json says.
    """
    path = Path(path)
    text = read_text(path)
    if len(text) > LONGEST_FILE:
        raise ConfigurationError(f"{path} is longer than {LONGEST_FILE} characters", "Give the codes alone.")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise ValueError(f"the key {key!r} twice")
            found[key] = value
        return found

    def refuse(word: str) -> float:
        raise ValueError(f"{word} is no JSON")

    try:
        values = json.loads(text, object_pairs_hook=once, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else str(error)
        raise ConfigurationError(f"{path} is not readable JSON ({reason})", REMEDY) from None
    return codes_from_dict(values, str(path))


def codes_from_dict(values: Any, source: str) -> Codes:
    """Codes from JSON values.

    Args:
        source: what an error calls them.

    Raises:
        ConfigurationError: a value is missing, unknown or out of its range.
    """
    import jsonschema

    try:
        jsonschema.validate(values, codes_schema())
    except jsonschema.ValidationError as error:
        where = "/".join(str(part) for part in error.absolute_path) or "its top level"
        message = error.message if len(error.message) <= 200 else f"{error.message[:200]}..."
        raise ConfigurationError(f"{source} is wrong at {where} ({message})", REMEDY) from None
    return {name: _class_code(entry) for name, entry in values.items()}


def require_codes(classes: Iterable[SegmentClass], codes: Codes) -> None:
    """Raise ConfigurationError unless every class has its code: a code is never guessed."""
    missing = [entry.name for entry in classes if entry.name not in codes]
    if missing:
        named = ", ".join(repr(name) for name in missing)
        raise ConfigurationError(
            f"there is no code for the class{'' if len(missing) == 1 else 'es'} {named}, which DICOM-SEG has to name",
            REMEDY,
        )


@cache
def codes_schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of a file of codes."""
    return json.loads(SCHEMA_PATH.read_text(encoding="utf-8"))


@cache
def _table() -> dict[str, Any]:
    return json.loads(TABLE_PATH.read_text(encoding="utf-8"))


def _class_code(entry: Mapping[str, Any]) -> ClassCode:
    found = {name: Code(**value) for name, value in entry.items() if name != "colour"}
    colour = entry.get("colour")
    return ClassCode(**found, colour=None if colour is None else (colour[0], colour[1], colour[2]))
