"""What a benchmark found, as JSON values that follow `schemas/benchmark-1.json`."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import s2m_edge
from s2m_edge.deploy.arithmetic import COUNTED
from s2m_edge.devices import usable_cores
from s2m_edge.notice import NOTICE
from s2m_edge.processor import FEATURES, features_known, features_text, processor_features, processor_name
from s2m_edge.targets.measure.benchmark.ceiling import SIDE
from s2m_edge.targets.measure.benchmark.contenders import PYTORCH, S2M_NET
from s2m_edge.targets.measure.benchmark.machine import backend_versions, machine_line
from s2m_edge.targets.measure.benchmark.measure import (
    HIGH,
    LOW,
    PAUSE_SECONDS,
    WARM_UP,
    Measurement,
    Row,
    Settings,
)
from s2m_edge.targets.measure.benchmark.streams import METHOD as STREAMS_METHOD

SCHEMA_VERSION = 1
SCHEMA_PATH = Path(s2m_edge.__file__).parent / "schemas" / f"benchmark-{SCHEMA_VERSION}.json"

METHOD = {
    "latency": (
        "one prediction, from the fitted uint8 picture to probabilities in numpy, batch 1; each contender in a process "
        f"of its own, {WARM_UP} predictions before the first that counts, then every round runs each once in an order "
        f"shuffled anew (seeded), with {PAUSE_SECONDS * 1e3:.0f} ms of rest before each"
    ),
    "ratio": "median of the faster PyTorch eager row divided by the row's median: how many times as fast",
    "memory": (
        f"largest resident set while loading and predicting {WARM_UP} times, above the process with its imports; "
        "of the whole process, so it holds the weights, the runtime's buffers and what loading needs for a moment"
    ),
    "load": (
        "from nothing loaded to ready to predict, imports not counted, the file in the system's cache; with "
        "torch.compile that includes compiling"
    ),
    "size": "of the artifact's files; for PyTorch of the checkpoint, which stores matrices as float16",
    "work": COUNTED,
    "ceiling": (
        f"the best of as many torch.mm of {SIDE} x {SIDE} float32 matrices as there are rounds, among them; other "
        "kernels may be better than that one, so a share may exceed 100 %"
    ),
    "noise": f"of the same matrix products: {LOW}th to {HIGH}th percentile, over their median",
}


@dataclass(frozen=True)
class NetworkFacts:
    """What a row's figures are divided by.

    Attributes:
        parameters: trainable values.
        multiply_adds: for one picture, see `work`.
        weights: where they come from, for people.
        height, width: of its input, in pixels.
    """

    parameters: int
    multiply_adds: int
    weights: str
    height: int
    width: int


def report_values(
    measurement: Measurement,
    settings: Settings,
    networks: Mapping[str, NetworkFacts],
    size: int,
    remarks: Sequence[str] = (),
    quick: Sequence[str] | None = None,
) -> dict[str, Any]:
    """The JSON object.

    Args:
        networks: by title, S2M-Net and others.
        size: input height and width in pixels.
        remarks: what was left out, and other lines for the reader.
        quick: what the quick form did not do; None: it was not asked for.
    """
    targets = [row.entry.contender.target for row in measurement.rows if row.entry.contender.target != PYTORCH]
    versions, system = backend_versions(targets), f"{platform.system()} {platform.machine()}"
    processor, base = processor_name(), measurement.base
    return {
        "schema_version": SCHEMA_VERSION,
        "machine": {
            "processor": processor,
            "features": [name for name in FEATURES if name in processor_features()] if features_known() else None,
            "system": system,
            "cores": usable_cores(),
            "threads": settings.threads,
            "versions": versions,
            "line": machine_line(processor, features_text(), system, settings.threads, versions),
        },
        "quick": None if quick is None else list(quick),
        "size": size,
        "networks": {title: asdict(facts) for title, facts in networks.items()},
        "settings": {
            "rounds": settings.rounds,
            "warm_up": WARM_UP,
            "pause_seconds": PAUSE_SECONDS,
            "throughput": settings.throughput,
            "cpu_isa": settings.limit.name if settings.limit else None,
            "samples": _sample_values(settings),
        },
        "ceiling": {
            "matrix_side": SIDE,
            "milliseconds": measurement.ceiling_milliseconds,
            "gflop_per_second": measurement.ceiling,
            "noise": measurement.noise,
        },
        "base": None if base is None else base.entry.contender.title,
        "contenders": [_row_values(row, measurement, networks) for row in measurement.rows],
        "remarks": list(remarks),
        "method": METHOD | ({"throughput": STREAMS_METHOD} if settings.throughput else {}),
        "notice": NOTICE,
    }


def _sample_values(settings: Settings) -> dict[str, Any]:
    samples = settings.samples
    return {
        "name": samples.preset or samples.folder.resolve().name if samples.folder else "bundled samples",
        "split": samples.split if samples.folder else None,
        "images": len(samples.find()),
    }


def _row_values(row: Row, measurement: Measurement, networks: Mapping[str, NetworkFacts]) -> dict[str, Any]:
    contender = row.entry.contender
    return {
        "title": contender.title,
        "kind": contender.kind,
        "network": contender.network,
        "target": contender.target,
        "precision": contender.precision,
        "spectral": contender.spectral,
        "status": row.status,
        "reason": row.reason,
        "device": row.device,
        "artifact_bytes": row.entry.artifact_bytes,
        "load_seconds": row.load_seconds,
        "peak_memory_mib": row.peak_memory,
        "resident_memory_mib": row.resident_memory,
        **_speed_values(row, measurement, networks[contender.network]),
        "throughput": row.throughput,
        "dice": row.dice,
        "profile": row.profile,
        "remarks": list(row.remarks),
    }


def _speed_values(row: Row, measurement: Measurement, facts: NetworkFacts) -> dict[str, Any]:
    if not row.milliseconds:
        return dict.fromkeys(
            ("latency_milliseconds", "ratio_to_eager", "images_per_second", "gflop_per_second", "ceiling_share")
        )
    base = measurement.base
    speed = 2 * facts.multiply_adds / row.median / 1e6
    return {
        "latency_milliseconds": {
            "median": row.median,
            f"percentile_{LOW}": row.percentile(LOW),
            f"percentile_{HIGH}": row.percentile(HIGH),
            "samples": list(row.milliseconds),
        },
        "ratio_to_eager": None if base is None else base.median / row.median,
        "images_per_second": 1e3 / row.median,
        "gflop_per_second": speed,
        "ceiling_share": speed / measurement.ceiling,
    }


def is_peer(values: Mapping[str, Any]) -> bool:
    """Whether a contender's values are of another network."""
    return values["network"] != S2M_NET
