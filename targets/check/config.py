"""What a check looks at: a small file in the network's repository."""

from __future__ import annotations

import importlib.util
import json
import math
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import s2m_edge
from s2m_edge.deploy.precision import PRECISION_ROWS, PRECISIONS, Precision
from s2m_edge.errors import CapabilityError, ConfigurationError, MissingBackendError
from s2m_edge.installation import install_command
from s2m_edge.targets.measure.changes.compare import TOLERANCE
from s2m_edge.targets.registry import Target, find_target
from s2m_edge.text_files import read_text

CONFIG_FILE = "s2m-edge-check.yaml"
CHECK_VERSION = 1
SCHEMA_PATH = Path(s2m_edge.__file__).parent / "schemas" / f"check-{CHECK_VERSION}.json"
REMEDY = "docs/ci.md describes the file."


@dataclass(frozen=True)
class Wanted:
    """One artifact that is to be made.

    Attributes:
        line: of the configuration that names its target, from 1.
    """

    target: Target
    precision: Precision
    line: int


@dataclass(frozen=True)
class CheckConfig:
    """A configuration; its paths are ready to be opened.

    Attributes:
        path: of its file.
        checkpoint: a file, or a bundled one's name; None where `network` is given.
        network: a factory or a .pt2 file, with its `spec` and perhaps `weights`.
        wanted: what is exported, in the order of the file.
        images: for parity; None: the bundled samples. `limit`: how many the gate takes; None: as the target says.
        calibration: pictures that set the ranges of an int8 artifact of `network`.
        data: an image folder with labels, of which `split` is taken; None: no accuracy is measured.
        tolerance: see `compare_sides`.
    """

    path: Path
    wanted: tuple[Wanted, ...]
    checkpoint: Path | None = None
    network: str | None = None
    weights: Path | None = None
    spec: Path | None = None
    images: Path | None = None
    limit: int | None = None
    calibration: Path | None = None
    data: Path | None = None
    split: str = "test"
    tolerance: float = TOLERANCE

    def only(self, names: Collection[str]) -> tuple[Wanted, ...]:
        """What is wanted of these targets; all where none is named.

        Raises:
            ConfigurationError: one of them is not in the file.
        """
        known = {entry.target.name for entry in self.wanted}
        strange = next((name for name in names if name not in known), None)
        if strange is not None:
            raise ConfigurationError(
                f"{self.path} has no target {strange!r}", f"It has {', '.join(sorted(known))}; add it there."
            )
        return tuple(entry for entry in self.wanted if not names or entry.target.name in names)


@cache
def check_schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of a configuration's file."""
    return json.loads(SCHEMA_PATH.read_text(encoding="utf-8"))


def read_config(path: Path) -> CheckConfig:
    """A configuration's file, YAML or JSON.

    Raises:
        ConfigurationError: missing, unreadable, from a newer version, or a value is wrong.
        CapabilityError: there is no such target or precision.
        MissingBackendError: there is nothing that reads YAML.
    """
    if importlib.util.find_spec("yaml") is None:
        raise MissingBackendError("PyYAML is not installed", install_command("check"))
    import yaml

    if not path.is_file():
        raise ConfigurationError(f"there is no configuration {path}", f"Write one; {REMEDY}")
    try:
        text = read_text(path)
        values, lines = yaml.safe_load(text), _lines_of_targets(yaml.compose(text, Loader=yaml.SafeLoader))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path} is no YAML ({' '.join(str(error).split())})", "Correct it.") from None
    _require_sound(values, path)
    folder = path.parent

    def place(key: str) -> Path | None:
        return None if key not in values else folder / Path(values[key]).expanduser()

    network = values.get("network")
    # What a factory's module is called is Python's matter; a file lies beside the configuration, as all files do.
    if network is not None and (":" not in network or network.rpartition(":")[0].endswith(".py")):
        network = str(folder / network)
    return CheckConfig(
        path,
        _wanted(values["targets"], lines, quantizes=network is None or "calibration" in values, path=path),
        checkpoint=_checkpoint(values.get("checkpoint"), folder),
        network=network,
        weights=place("weights"),
        spec=place("spec"),
        images=place("images"),
        limit=values.get("limit"),
        calibration=place("calibration"),
        data=place("data"),
        split=values.get("split", CheckConfig.split),
        tolerance=float(values.get("tolerance", TOLERANCE)),
    )


def _require_sound(values: Any, path: Path) -> None:
    import jsonschema

    if not isinstance(values, dict):
        raise ConfigurationError(f"{path} is no configuration of a check", REMEDY)
    version = values.get("check_version")
    if isinstance(version, int) and version > CHECK_VERSION:
        raise ConfigurationError(
            f"{path} follows version {version} of the configuration, newer than this s2m-edge reads ({CHECK_VERSION})",
            "Update s2m-edge.",
        )
    if ("checkpoint" in values) == ("network" in values):  # said better than a schema does
        raise ConfigurationError(f"{path} must name a checkpoint or a network, and not both", REMEDY)
    try:
        jsonschema.validate(values, check_schema())
    except jsonschema.ValidationError as error:
        where = "/".join(str(part) for part in error.absolute_path) or "its top level"
        raise ConfigurationError(f"{path} is wrong at {where} ({error.message})", REMEDY) from None
    if not math.isfinite(values.get("tolerance", TOLERANCE)):  # which passes any comparison
        raise ConfigurationError(f"{path} is wrong at tolerance (it is no number)", REMEDY)


def _checkpoint(value: str | None, folder: Path) -> Path | None:
    """A file beside the configuration, or else a bundled checkpoint's name."""
    if value is None:
        return None
    beside = folder / Path(value).expanduser()
    return beside if beside.exists() or Path(value).suffix else Path(value)


def _wanted(targets: dict[str, list[str]], lines: dict[str, int], *, quantizes: bool, path: Path) -> tuple[Wanted, ...]:
    wanted: list[Wanted] = []
    for name, precisions in targets.items():
        target = find_target(name)
        for precision in precisions:
            if precision not in PRECISIONS:
                raise CapabilityError(
                    f"there is no precision {precision!r}", f"{path} may name {', '.join(target.precisions)}."
                )
            target.require_capability(precision, target.default_lowering)
            if PRECISION_ROWS[precision].quantized and not quantizes:
                raise ConfigurationError(
                    f"{path} wants {precision} of a network, and names no calibration",
                    "Add calibration: a folder of pictures like those that the network was trained on.",
                )
            wanted.append(Wanted(target, precision, lines.get(name, 1)))
    return tuple(wanted)


def _lines_of_targets(node: Any) -> dict[str, int]:
    """By target the line of the file that names it, from 1."""
    for key, value in node.value if getattr(node, "id", "") == "mapping" else ():
        if key.value == "targets" and isinstance(value.value, list):
            return {name.value: name.start_mark.line + 1 for name, _ in value.value if isinstance(name.value, str)}
    return {}
