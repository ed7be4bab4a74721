"""The page of one benchmark on two instruction sets: ratios within a column, gaps where nothing was measured."""

from __future__ import annotations

from datetime import date
from importlib.util import module_from_spec, spec_from_file_location
from typing import Any

import pytest

from pages import ROOT

SPECIFICATION = spec_from_file_location("sets", ROOT / "tools" / "benchmark_instruction_sets.py")
assert SPECIFICATION is not None
assert SPECIFICATION.loader is not None
sets = module_from_spec(SPECIFICATION)
SPECIFICATION.loader.exec_module(sets)


def report(ceiling: float, **medians: float | None) -> dict[str, Any]:
    """What --json holds, as far as the page reads it; None: not run."""
    titles = {name: f"{name.replace('_', ' ')} {'' if 'custom' in name else 'matmul'}".strip() for name in medians}
    return {
        "machine": {"line": "a processor"},
        "settings": {"rounds": 3},
        "size": 352,
        "networks": {"S2M-Net": {"multiply_adds": 10**9}},
        "ceiling": {"gflop_per_second": ceiling},
        "notice": "Research use only.",
        "contenders": [
            {
                "title": titles[name],
                "target": name.split("_")[0],
                "status": "not run" if median is None else "executed",
                "reason": "" if median is not None else "its instruction sets cannot be limited",
                "latency_milliseconds": None if median is None else {"median": median},
            }
            for name, median in medians.items()
        ],
    }


def test_ratios_are_of_one_column_and_what_is_missing_is_said():
    own = report(200.0, openvino_float32=12.0, openvino_int8=6.0, onnx_float32=15.0, onnx_float32_custom=9.0)
    older = report(100.0, openvino_float32=30.0, openvino_int8=20.0, onnx_float32=None)
    page = sets.page({"": own, "avx2": older}, date(2026, 1, 2))
    cells = [[cell.strip() for cell in line.strip("| ").split("|")] for line in page.splitlines() if "|" in line]
    rows = {row[0]: row[1:3] for row in cells}
    assert rows["the network at the ceiling"] == ["10.0", "20.0"]
    assert rows["OpenVINO float32 beside the ceiling"] == ["1.20", "1.50"]
    assert rows["OpenVINO float32 beside its int8"] == ["2.00", "1.50"]
    assert rows["ONNX Runtime float32 beside OpenVINO"] == ["1.25", "-"]
    assert rows["the same, with our kernels"] == ["0.75", "-"]
    assert "kept to avx2: onnx float32 matmul: its instruction sets cannot be limited" in page
    assert "2026-01-02" in page


def test_a_benchmark_that_fails_ends_it(tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sets.subprocess, "run", lambda *words, **options: sets.subprocess.CompletedProcess(words, 2))
    page = tmp_path / "page.md"
    assert sets.main(["--page", str(page)]) == 2
    assert not page.exists()
