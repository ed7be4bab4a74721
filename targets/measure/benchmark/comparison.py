"""A run beside an earlier one, by the file that `--json` wrote of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from s2m_edge.errors import ConfigurationError
from s2m_edge.targets.measure.benchmark.report import SCHEMA_VERSION
from s2m_edge.text_files import read_text

REMEDY = "Give --compare a file of s2m-edge benchmark --json."


def read_earlier(path: Path) -> dict[str, Any]:
    """The values of an earlier run.

    Raises:
        ConfigurationError: it is missing, or no such file.
    """
    try:
        values = json.loads(read_text(path))
    except ValueError as error:
        raise ConfigurationError(f"{path} is no JSON ({error})", REMEDY) from None
    if not isinstance(values, dict) or values.get("schema_version") != SCHEMA_VERSION or "notice" not in values:
        raise ConfigurationError(f"{path} holds no benchmark of version {SCHEMA_VERSION}", REMEDY)
    try:
        earlier_medians(values)
        differences(values, values)
    except (LookupError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"{path} lacks figures of a benchmark ({error})", REMEDY) from None
    return values


def compared(values: dict[str, Any], earlier: Mapping[str, Any], file: Path) -> dict[str, Any]:
    """`values` with what is there on `earlier`: a ratio for every contender that both have, and what differs.

    The ratio says how many times as fast a contender is now.
    """
    medians = earlier_medians(earlier)
    contenders = []
    for entry in values["contenders"]:
        then, now = medians.get(_identity(entry)), entry["latency_milliseconds"]
        ratio = then / now["median"] if then is not None and now is not None else None
        contenders.append({**entry, "ratio_to_earlier": ratio})
    return {
        **values,
        "contenders": contenders,
        "comparison": {"file": file.name, "differences": differences(values, earlier)},
    }


def earlier_medians(values: Mapping[str, Any]) -> dict[tuple[str, ...], float]:
    """Median milliseconds by network and title."""
    return {
        _identity(entry): float(entry["latency_milliseconds"]["median"])
        for entry in values["contenders"]
        if entry["latency_milliseconds"] is not None
    }


def differences(now: Mapping[str, Any], then: Mapping[str, Any]) -> list[str]:
    """What makes the ratios say something else than that the code became faster, a line each."""
    lines = []
    for name, key in (("processor", "processor"), ("system", "system"), ("cores", "cores"), ("threads", "threads")):
        lines += _difference(name, now["machine"][key], then["machine"][key])
    lines += _difference("instruction sets", _features(now), _features(then))
    versions, earlier = now["machine"]["versions"], then["machine"]["versions"]
    for name in sorted(versions.keys() & earlier.keys()):
        lines += _difference(name, versions[name], earlier[name])
    lines += _difference("input size", now["size"], then["size"])
    lines += _difference("limit of instruction sets", now["settings"].get("cpu_isa"), then["settings"].get("cpu_isa"))
    for name in sorted(now["networks"].keys() & then["networks"].keys()):
        facts, others = now["networks"][name], then["networks"][name]
        lines += _difference(f"{name}, weights", facts["weights"], others["weights"])
        lines += _difference(f"{name}, multiply-adds", facts["multiply_adds"], others["multiply_adds"])
    return lines


def _features(values: Mapping[str, Any]) -> str | None:
    features = values["machine"].get("features")
    return None if features is None else " ".join(features)


def _difference(what: str, now: Any, then: Any) -> list[str]:
    if now == then:
        return []
    shown = ["unknown" if value is None else value for value in (now, then)]
    return [f"{what}: {shown[0]} now, {shown[1]} then"]


def _identity(entry: Mapping[str, Any]) -> tuple[str, ...]:
    return entry["network"], entry["title"]
