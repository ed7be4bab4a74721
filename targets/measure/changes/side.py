"""One of two things that are compared: what it measured, and what it says of itself."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from s2m_edge.deploy.precision import QUANTIZED_AGAINST_FLOAT
from s2m_edge.errors import ConfigurationError, in_one_line
from s2m_edge.targets.measure.parity.gates import GATES, gated_figures
from s2m_edge.targets.measure.parity.report import ParityReport
from s2m_edge.text_files import read_text
from s2m_edge.texts import printable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from s2m_edge.checkpoint import CheckpointHeader

Kind = Literal["parity", "checkpoint", "accuracy", "benchmark"]
KINDS: Mapping[Kind, str] = {
    "parity": "a bundle or its parity.json",
    "checkpoint": "a checkpoint",
    "accuracy": "a file of s2m-edge gate --out",
    "benchmark": "a file of s2m-edge benchmark --json",
}
UNTOLD = ("exported_at", "parity", "files", "notice", "intended_use")
"""Of a contract: what is another one with every export, or told as a figure."""
LONGEST = 120
"""Letters of a value that are shown."""


@dataclass(frozen=True)
class Figure:
    """A number that can be better or worse.

    Attributes:
        value: as it was measured.
        higher_is_better: or lower.
        allowed: how much of it may be lost in all, in its own unit; a share of that is what `diff` tolerates. None: it
            is shown, and not judged.
    """

    value: float
    higher_is_better: bool
    allowed: float | None


@dataclass(frozen=True)
class Side:
    """A bundle, checkpoint or report.

    Attributes:
        path: of it; kind: what it can be compared with.
        figures: by name.
        breaches: of its own gates.
        facts: everything else that it says of itself, by dotted name, as text.
        weights: tensors by name; none of anything but a checkpoint.
    """

    path: Path
    kind: Kind
    figures: Mapping[str, Figure]
    breaches: tuple[str, ...]
    facts: Mapping[str, str]
    weights: Mapping[str, NDArray[Any]] = field(default_factory=dict)


def open_side(path: Path) -> Side:
    """Read a bundle's folder, a checkpoint (a file or a bundled one's name), or a report's JSON file.

    Raises:
        ConfigurationError: it is none of these.
        ContractError, CheckpointError: it is damaged.
    """
    if path.is_dir():
        return _bundle(path)
    if path.suffix.lower() == ".json":
        return _report(path)
    return _checkpoint(path)


def _bundle(folder: Path) -> Side:
    from s2m_edge.deploy.bundle import open_bundle
    from s2m_edge.targets.measure.page.facts import read_parity

    bundle = open_bundle(folder, proved=False)
    values, report = bundle.contract.values, read_parity(bundle)
    told = {key: value for key, value in values.items() if key not in UNTOLD}
    files = {f"files.{name}": digest[:12] for name, digest in bundle.contract.files.items()}
    parity = parity_side(folder, report)
    return Side(
        folder,
        "parity",
        {**parity.figures, **size_figure(values["artifact"]["bytes"])},
        parity.breaches,
        {**parity.facts, **flattened(told), **files},
    )


def size_figure(size: int) -> dict[str, Figure]:
    """The artifact's size, by its name among the figures; `size` in bytes."""
    return {"artifact, MB": Figure(size / 1e6, higher_is_better=False, allowed=None)}


def parity_side(path: Path, report: ParityReport) -> Side:
    """A report of parity; `path` is where it was found."""
    figures = {
        f"least {entry.title}" if entry.likeness else entry.title: Figure(
            entry.worst(report.images)[0], entry.likeness, entry.allowed
        )
        for entry in gated_figures(GATES[report.precision])
    }
    facts = {
        "verdict": report.verdict,
        "edge device": report.edge_device,
        "reference device": report.reference_device,
        "pictures": f"{len(report.images)}, something is found on {report.images_with_foreground}",
        "weights": report.hashes.get("weights", "")[:12],
        **{f"tools.{name}": version for name, version in report.tools.items()},
    }
    facts |= {key: getattr(report, key) for key in ("target", "precision", "spectral")}
    return Side(path, "parity", figures, tuple(report.breaches), _shown(facts))


def _report(path: Path) -> Side:
    try:
        values = json.loads(read_text(path))
        if not isinstance(values, dict):
            raise TypeError("no report")
        if "contenders" in values:
            return _benchmark(path, values)
        if "stages" in values:
            return accuracy_side(path, values)
        return parity_side(path, ParityReport.from_dict(values))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ConfigurationError(
            f"{path} is no report that can be compared ({in_one_line(error)})", f"Give {', '.join(KINDS.values())}."
        ) from None


def accuracy_side(path: Path, values: Mapping[str, Any]) -> Side:
    """What `s2m-edge gate --out` wrote, found at `path`.

    Raises:
        LookupError, TypeError, ValueError: it is none.
    """
    limits = {entry["name"]: float(entry["gate"]["mean_dice"]) for entry in values["differences"]}
    figures: dict[str, Figure] = {}
    for stage in values["stages"]:
        name, distance = stage["name"], stage["hd95"]["mean"]
        allowed = limits.get(name, QUANTIZED_AGAINST_FLOAT.mean_dice)
        figures[f"{name}: mean Dice"] = Figure(float(stage["dice"]["mean"]), True, allowed)
        if distance is not None:
            figures[f"{name}: mean HD95, pixels"] = Figure(float(distance), False, QUANTIZED_AGAINST_FLOAT.mean_hd95)
    facts = flattened({key: values[key] for key in ("data", "hashes", "tools")})
    return Side(path, "accuracy", figures, tuple(map(str, values["breaches"])), facts)


def _benchmark(path: Path, values: Mapping[str, Any]) -> Side:
    medians = {
        f"{entry['title']}, ms": float(entry["latency_milliseconds"]["median"])
        for entry in values["contenders"]
        if entry["latency_milliseconds"] is not None
    }
    figures = {name: Figure(median, False, allowed=median) for name, median in medians.items()}
    facts = flattened({"machine": values["machine"], "settings": values["settings"]})
    statuses = {f"status.{entry['title']}": str(entry["status"]) for entry in values["contenders"]}
    return Side(path, "benchmark", figures, (), {**facts, **_shown(statuses)})


def _checkpoint(path: Path) -> Side:
    from s2m_edge.checkpoint import read_header

    header = read_header(path)
    provenance = header.provenance
    measured = {
        name: float(value)
        for name, value in provenance.items()
        if re.fullmatch(r"(val|validation|test)_dice(_window)?", name) and isinstance(value, float | int)
    }
    figures = {
        name.replace("_", " "): Figure(value, True, QUANTIZED_AGAINST_FLOAT.mean_dice)
        for name, value in measured.items()
    }
    told = {
        "network": dict(vars(header.config)),
        "provenance": {key: value for key, value in provenance.items() if key not in measured},
        "quantization": header.quantization or "none",
        "weights": header.weights_sha256[:12],
    }
    return Side(header.path, "checkpoint", figures, (), flattened(told), _weights(header))


def _weights(header: CheckpointHeader) -> dict[str, NDArray[Any]]:
    from safetensors.numpy import load_file

    return dict(load_file(header.path))


def flattened(values: Mapping[str, Any], before: str = "") -> dict[str, str]:
    """Nested values as texts by dotted name; a list of more than plain values as how many it has, and their hash."""
    found: dict[str, str] = {}
    for key, value in values.items():
        name = f"{before}{printable(str(key))}"
        if isinstance(value, Mapping):
            found |= flattened(value, f"{name}.")
        elif isinstance(value, list | tuple) and any(isinstance(entry, Mapping | list) for entry in value):
            found[name] = f"{len(value)} entries, {_digest(value)}"
        else:
            text = json.dumps(value) if isinstance(value, list | tuple) else str(value)
            found[name] = printable(text if len(text) <= LONGEST else f"{text[:LONGEST]}... {_digest(text)}")
    return found


def _shown(facts: Mapping[str, str]) -> dict[str, str]:
    return {printable(name): printable(text) for name, text in facts.items()}


def _digest(value: Any) -> str:
    import hashlib

    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]
