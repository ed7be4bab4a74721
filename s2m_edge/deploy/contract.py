"""The deployment contract: everything an app must do before and after the network, as one JSON file.

Its schema is `schemas/contract-2.json`; apps in any language read the same file, refuse the same bundles and name the
same reason. `apps/vectors/refusals` holds a bundle for each.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import s2m_edge
from s2m_edge.deploy.spec import window_of
from s2m_edge.errors import ContractError
from s2m_edge.imaging.classes import SegmentClass
from s2m_edge.imaging.intensity import intensity_of
from s2m_edge.imaging.preprocess import Preprocessing

SCHEMA_VERSION = 2
CONTRACT_FILE = "contract.json"
SCHEMA_PATH = Path(s2m_edge.__file__).parent / "schemas" / f"contract-{SCHEMA_VERSION}.json"
RESIZE_RULE = "triangle, half-pixel centres, radius max(1, in/out), columns first, rounded half up to 8 bits"
LARGEST_CONTRACT = 2**20
"""Bytes of contract.json."""
DEEPEST = 32
"""Levels of nesting in contract.json."""
LARGEST_OUTPUT = 2**27
"""Values of one output, outputs x height x width: half a gigabyte."""
AGAIN = "Export the bundle again."
_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")


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
    def files(self) -> dict[str, str]:
        """SHA-256 of every file of the bundle but the contract, by its path inside it."""
        return self.values["files"]

    @property
    def weights_sha256(self) -> str:
        """Which network it is, whatever stands beside its weights."""
        return self.values["network"]["weights_sha256"]

    @property
    def threshold(self) -> float:
        return float(self.values["postprocessing"]["threshold"])

    @property
    def preprocessing(self) -> Preprocessing:
        entry = self.values["preprocessing"]
        return Preprocessing(
            height=entry["height"],
            width=entry["width"],
            channels=entry["channels"],
            scale=entry["scale"],
            mean=tuple(entry["mean"]),
            standard_deviation=tuple(entry["standard_deviation"]),
            window=window_of(entry),
            intensity=intensity_of(entry),
        )

    @property
    def classes(self) -> tuple[SegmentClass, ...]:
        return tuple(SegmentClass(entry["name"], tuple(entry["colour"])) for entry in self.values["classes"])

    @property
    def proved(self) -> bool:
        """Whether it passed its gate on pictures that show something."""
        parity = self.values["parity"]
        return bool(parity["passed"]) and parity["images_with_foreground"] > 0

    def require_proved(self) -> None:
        """Raise ContractError unless the bundle passed its gate on pictures that show something."""
        parity = self.values["parity"]
        if parity["images"] == 0 or parity["images_with_foreground"] == 0:
            raise ContractError(
                "the bundle's parity was never measured on a picture that shows the object",
                "Export it again with --images that do.",
                "not-measured",
            )
        if not parity["passed"]:
            raise ContractError(
                "the bundle did not pass its parity gate: its masks are not the network's",
                "Export it again in another precision, or for another target.",
                "gate-failed",
            )


@cache
def contract_schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of this version."""
    return json.loads(SCHEMA_PATH.read_text(encoding="utf-8"))


def validate_contract(values: Any, source: str) -> Contract:
    """Check a contract's values.

    Raises:
        ContractError: from another version, or not a contract; `reason` says why.
    """
    import jsonschema

    version = values.get("schema_version") if isinstance(values, dict) else None
    if not isinstance(version, int) or isinstance(version, bool):
        raise ContractError(f"{source} is not a deployment contract", AGAIN, "not-a-contract")
    if version > SCHEMA_VERSION:
        raise ContractError(
            f"{source} follows contract version {version}, newer than this s2m-edge reads ({SCHEMA_VERSION})",
            "Update s2m-edge, or export the bundle with this version.",
            "newer-version",
        )
    if version < SCHEMA_VERSION:
        raise ContractError(
            f"{source} follows contract version {version}, which this s2m-edge no longer reads "
            f"(it reads {SCHEMA_VERSION})",
            AGAIN,
            "older-version",
        )
    schema = contract_schema()["properties"]
    for name in ("target", "precision"):
        if isinstance(values.get(name), str) and values[name] not in schema[name]["enum"]:
            raise ContractError(
                f"{source} is of the {name} {shown(values[name])}, which this s2m-edge does not know",
                "Update s2m-edge, or export the bundle with this version.",
                f"unknown-{name}",
            )
    _require_bounded(values, source)
    for name in values["files"] if isinstance(values.get("files"), dict) else ():
        require_plain_path(name, source)
    try:
        jsonschema.validate(values, contract_schema())
    except jsonschema.ValidationError as error:
        where = "/".join(str(part) for part in error.absolute_path) or "its top level"
        raise ContractError(f"{source} is damaged at {shown(where)} ({shown(error.message)})", AGAIN) from None
    problem = _first_contradiction(values)
    if problem is not None:
        raise ContractError(f"{source} is damaged at {problem}", AGAIN)
    return Contract(values)


def shown(text: str) -> str:
    """A stranger's text for a line of ours: shortened, its control characters escaped."""
    return ascii(text[:200])[1:-1] if not text.isprintable() else text[:200]


def require_plain_path(name: str, source: str) -> None:
    """Raise ContractError unless `name` is a path that stays inside its folder: segments of letters, digits, dots,
    dashes and underscores, none of which begins with a dot or a dash."""
    if len(name) > 250 or not all(_SEGMENT.fullmatch(segment) for segment in name.split("/")):
        raise ContractError(f"{source} names a file outside the bundle ({shown(name)})", AGAIN, "outside-bundle")


def _require_bounded(values: dict[str, Any], source: str) -> None:
    """Sizes before anything is allocated for them: more than any app could hold is refused as such."""
    limits = contract_schema()["properties"]
    sides = limits["preprocessing"]["properties"]
    fitted = values.get("preprocessing")
    output = values.get("output")
    shape = output.get("shape") if isinstance(output, dict) else None
    files = values.get("files")
    whole = [side for side in shape or () if isinstance(side, int)] if isinstance(shape, list) else []
    too_large = (
        any(
            isinstance(fitted, dict) and isinstance(fitted.get(name), int) and fitted[name] > sides[name]["maximum"]
            for name in ("height", "width")
        )
        or (len(whole) == 4 and (whole[1] > limits["output"]["properties"]["shape"]["prefixItems"][1]["maximum"]))
        or (len(whole) == 4 and math.prod(whole) > LARGEST_OUTPUT)
        or (isinstance(files, dict) and len(files) > limits["files"]["maxProperties"])
    )
    if too_large:
        raise ContractError(
            f"{source} asks for more memory than an app can give: it may have {LARGEST_OUTPUT} output values, 256 "
            f"outputs, {sides['height']['maximum']} pixels a side and {limits['files']['maxProperties']} files",
            "Export the network at a smaller size.",
            "too-large",
        )


def _first_contradiction(values: dict[str, Any]) -> str | None:
    """What no schema can say, or None: entries that do not go together."""
    fitted, shape, files = values["preprocessing"], values["output"]["shape"], values["files"]
    if shape[2:] != [fitted["height"], fitted["width"]]:
        return f"output/shape ({shape} for {fitted['height']} x {fitted['width']})"
    if values["output"]["activation"] != ("sigmoid" if shape[1] == 1 else "softmax"):
        return "output/activation"
    given = values["input"]
    if given["colour"] != ("RGB" if fitted["channels"] == 3 else "grey"):
        return f"input/colour ({given['colour']} of {fitted['channels']} channels)"
    if given["normalised_inside"] != (given["dtype"] == "uint8"):
        return f"input/normalised_inside (with {given['dtype']})"
    if len(values["classes"]) != max(1, shape[1] - 1):
        return f"classes ({len(values['classes'])} for {shape[1]} outputs)"
    for name in ("mean", "standard_deviation"):
        if len(fitted[name]) < fitted["channels"]:
            return f"preprocessing/{name}"
    if (fitted["window"] is None) != (fitted["fit"] == "stretch"):
        return "preprocessing/window"
    rule, low, high = (fitted["intensity"][name] for name in ("rule", "low", "high"))
    if not low < high or (rule == "percentiles" and not (low >= 0 and high <= 100)):
        return f"preprocessing/intensity ({rule} from {low} to {high})"
    artifact = values["artifact"]["file"]
    # "$" of a pattern also matches before a last line feed.
    texts = [artifact, *(values["network"][name] for name in ("name", "architecture")), values["checkpoint"]["file"]]
    if any("\n" in text for text in [*texts, *(entry["name"] for entry in values["classes"])]):
        return "a name with a line feed"
    if not any(name == artifact or name.startswith(f"{artifact}/") for name in files):
        return f"files (none of {artifact})"
    parity = values["parity"]
    if parity["images_with_foreground"] > parity["images"]:
        return "parity/images_with_foreground"
    return None


def read_contract(bundle: Path) -> Contract:
    """The contract of a bundle folder.

    Raises:
        ContractError: no bundle, unreadable JSON, damaged, or from another version.
    """
    path = bundle / CONTRACT_FILE
    if not path.is_file():
        raise ContractError(
            f"{bundle} is not a bundle: it has no {CONTRACT_FILE}", "Make one with s2m-edge export.", "no-bundle"
        )
    if path.is_symlink():
        raise ContractError(f"{path} is a link", "Copy the bundle itself.", "link")
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_CONTRACT + 1)
    except OSError as error:
        raise ContractError(f"{path} cannot be read ({error.strerror or error})", AGAIN, "not-json") from None
    return validate_contract(parse_json(content, str(path)), str(path))


def parse_json(content: bytes, source: str) -> Any:
    """JSON as RFC 8259 has it, and no more: Python's own reader takes NaN, and the last of several equal keys.

    Raises:
        ContractError: not UTF-8, not JSON, a key twice, too long, or nested too deep.
    """
    if len(content) > LARGEST_CONTRACT:
        raise ContractError(f"{source} is longer than {LARGEST_CONTRACT} bytes", AGAIN, "too-large")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ContractError(f"{source} has a key twice", AGAIN, "duplicate-key")
        return found

    def refuse(word: str) -> float:
        raise ValueError(f"{word} is no JSON")

    try:
        values = json.loads(content.decode("utf-8"), object_pairs_hook=once, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else shown(str(error))
        raise ContractError(f"{source} is not readable JSON ({reason})", AGAIN, "not-json") from None
    if any(depth > DEEPEST for depth, _ in walk(values)):
        raise ContractError(f"{source} is not readable JSON (nested too deep)", AGAIN, "not-json")
    if any(isinstance(value, float) and not math.isfinite(value) for _, value in walk(values)):
        raise ContractError(f"{source} is damaged: it holds a number that is not finite", AGAIN)
    return values


def walk(values: Any) -> Iterator[tuple[int, Any]]:
    """Every value of a JSON tree with its depth; without recursion, which a file could exhaust."""
    waiting = [(0, values)]
    while waiting:
        depth, value = waiting.pop()
        yield depth, value
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        waiting += [(depth + 1, entry) for entry in inner]
