"""A benchmark's measurement without any process: rows with made-up times."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from s2m_edge.targets.measure.benchmark.contenders import S2M_NET, Contender, pytorch_contenders
from s2m_edge.targets.measure.benchmark.measure import Entry, Measurement, Row, Settings
from s2m_edge.targets.measure.benchmark.report import NetworkFacts, report_values
from s2m_edge.targets.measure.benchmark.samples import SampleChoice

SETTINGS = Settings(threads=2, rounds=5, samples=SampleChoice(domain="polyp"))
PROFILE = {
    "total_milliseconds": 20.0,
    "grouping": "block",
    "blocks": [
        {"block": "stem", "milliseconds": 2.0, "stages": {}},
        {"block": "MRF-SE", "milliseconds": 18.0, "stages": {"1": 12.0, "2": 6.0}},
    ],
    "method": "made up",
}


def artifact(title: str, kind: Any, network: str, target: str) -> Contender:
    return Contender(title, kind, network, target, "float32", None, Path("somewhere"), 96)


@pytest.fixture
def measurement() -> Measurement:
    """Two eager rows, an artifact twice as fast as the better, a peer, one that cannot run here and one that failed."""
    slow, fast = pytorch_contenders(Path("small.safetensors"), 96, compiled=False)
    onnx, core_ml = artifact("onnx", "bundle", S2M_NET, "onnx"), artifact("core ml", "bundle", S2M_NET, "coreml")
    other, broken = (
        artifact("peer, onnx", "bundle", "peer", "onnx"),
        artifact("openvino", "bundle", S2M_NET, "openvino"),
    )
    dice = {"mean": 0.7, "interval": [0.6, 0.8], "images": 3}
    rows = (
        Row(Entry(slow, 10), "executed", milliseconds=(50, 60, 70, 65, 55), load_seconds=1.0, peak_memory=50.0),
        Row(Entry(fast, 10), "executed", milliseconds=(40, 44, 42, 41, 80), load_seconds=1.0, dice=dice),
        Row(Entry(onnx, 20), "executed", milliseconds=(21, 20, 23, 22, 20.5), load_seconds=0.1, profile=PROFILE),
        Row(Entry(core_ml, 30), "converted, not executed", "no runtime"),
        Row(Entry(broken, failure="it went wrong"), "not run", "it went wrong"),
        Row(Entry(other, 40), "executed", milliseconds=(90, 91, 92, 93, 94), load_seconds=0.1),
    )
    return Measurement(rows, products=(100.0, 120.0, 110.0, 101.0, 104.0))


@pytest.fixture
def values(measurement: Measurement) -> dict[str, Any]:
    """The report of `measurement`."""
    networks = {
        S2M_NET: NetworkFacts(5_000_000, 700_000_000, "small.safetensors", 96, 96),
        "peer": NetworkFacts(2_000_000, 900_000_000, "random weights", 64, 96),
    }
    return report_values(measurement, SETTINGS, networks, 96, ["left out: something"])
