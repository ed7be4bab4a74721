"""`python tools/benchmark_instruction_sets.py --page docs/instruction-sets.md`: the aims of speed, on two processors.

The benchmark once with everything that this processor has, and once for each --cpu-isa as an older one would run it,
float32 and int8 of the runtimes that a CPU has, "custom" with our kernels; then the ratios that docs/speed.md sets aims
for, each within one run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from s2m_edge.targets.onnx.operator_library import SWITCH

OPENVINO, EXECUTORCH, ONNX = ("openvino float32", "executorch float32", "onnx float32")
AIMS = (
    ("OpenVINO float32 beside the ceiling", OPENVINO, None, "at most 1.4 (AVX-512), 1.25 (AVX2)"),
    ("ExecuTorch float32 beside OpenVINO", EXECUTORCH, OPENVINO, "at most 1.15"),
    ("ONNX Runtime float32 beside OpenVINO", ONNX, OPENVINO, "at most 1.3"),
    ("the same, with our kernels", f"{ONNX} custom", OPENVINO, "at most 1.3"),
    ("OpenVINO float32 beside its int8", OPENVINO, "openvino int8", "at least 2.2 (VNNI)"),
    ("ExecuTorch float32 beside its int8", EXECUTORCH, "executorch int8", "at least 2.0 (VNNI)"),
    ("ONNX Runtime float32 beside its int8", ONNX, "onnx int8", "at least 1.8 (VNNI)"),
    ("ONNX Runtime float32 beside int8 with our kernels", ONNX, "onnx int8 custom", "at least 1.8 (VNNI)"),
)
"""What is asked, the times that are divided (None: what the ceiling allows), and the aim."""

PYTORCH = "pytorch"
CHOSEN = ["--precision", "float32,int8", "--spectral", "all", "-t", "openvino,executorch,onnx", "--no-compile"]


def main(arguments: Sequence[str]) -> int:
    """Runs the benchmark for each set and writes the page; the benchmark's exit code where it failed."""
    parser = argparse.ArgumentParser(description="The aims of speed on this processor and on older ones.")
    parser.add_argument("--page", type=Path, required=True, metavar="FILE", help="Markdown page to write")
    parser.add_argument(
        "--cpu-isa", nargs="*", default=["avx2"], metavar="NAME", help="sets beside the processor's own"
    )
    parser.add_argument("options", nargs="*", metavar="OPTION", help="for s2m-edge benchmark, after --")
    chosen = parser.parse_args(arguments)
    runs: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in ("", *chosen.cpu_isa):
            file = Path(folder) / f"{name or 'own'}.json"
            command = [sys.executable, "-m", "s2m_edge.cli.main", "benchmark", *CHOSEN]
            command += ["--json", str(file), *chosen.options]
            command += ["--cpu-isa", name] if name else []
            done = subprocess.run(command, check=False, env={**os.environ, SWITCH: "1"})
            if done.returncode != 0:
                return done.returncode
            runs[name] = json.loads(file.read_text(encoding="utf-8"))
    chosen.page.write_text(page(runs, date.today()), encoding="utf-8")
    return 0


def page(runs: Mapping[str, Mapping[str, Any]], day: date) -> str:
    """The page of benchmark reports by limit, "" for none."""
    first = next(iter(runs.values()))
    titles = [f"kept to {name}" if name else "all that it has" for name in runs]
    medians = [times(values) for values in runs.values()]
    keys = [key for key in dict.fromkeys(key for found in medians for key in found) if any(key in m for m in medians)]
    lines = [
        "# The same artifacts on two instruction sets",
        "",
        f"{first['machine']['line']}. {day.isoformat()}. {first['settings']['rounds']} interleaved rounds for each"
        f" column, {first['size']} x {first['size']}, batch 1, medians in milliseconds.",
        "",
        table_line(["", *titles]),
        table_line(["---", *("---:" for _ in titles)]),
        table_line(["ceiling, GFLOP/s", *(f"{values['ceiling']['gflop_per_second']:.0f}" for values in runs.values())]),
        table_line(["the network at the ceiling", *(f"{ceiling(values):.1f}" for values in runs.values())]),
        *(table_line([key, *(cell(found.get(key), 1) for found in medians)]) for key in keys),
        "",
        *streams_table(runs, titles),
        "Ratios within a column, and what is aimed at:",
        "",
        table_line(["", *titles, "aim"]),
        table_line(["---", *("---:" for _ in titles), "---"]),
    ]
    for text, upper, lower, aim in AIMS:
        found = [ratio(values, upper, lower) for values in runs.values()]
        if any(value is not None for value in found):
            lines.append(table_line([text, *(cell(value, 2) for value in found), aim]))
    left = [
        f"- {title}: {entry['title']}: {entry['reason']}"
        for title, values in zip(titles, runs.values(), strict=True)
        for entry in values["contenders"]
        if entry["status"] != "executed"
    ]
    lines += ["", "Not measured:", "", *left] if left else []
    lines += ["", "Written by `python tools/benchmark_instruction_sets.py --page FILE`. " + first["notice"]]
    return "\n".join(lines) + "\n"


def streams_table(runs: Mapping[str, Mapping[str, Any]], titles: Sequence[str]) -> list[str]:
    """Images per second with several under way, where --throughput was asked for."""
    found = [
        {short(entry): entry["throughput"] for entry in values["contenders"] if entry.get("throughput")}
        for values in runs.values()
    ]
    keys = dict.fromkeys(key for column in found for key in column if not key.startswith("PyTorch"))
    if not keys:
        return []
    rows = [
        table_line([key, *(cell(column[key]["images_per_second"], 1) if key in column else "-" for column in found)])
        for key in keys
    ]
    heading = [table_line(["images per second", *titles]), table_line(["---", *("---:" for _ in titles)])]
    return ["Several under way, for archives (`--throughput`):", "", *heading, *rows, ""]


def short(entry: Mapping[str, Any]) -> str:
    """A contender's title; "matmul", which is the default, is not said."""
    return entry["title"].removesuffix(" matmul")


def times(values: Mapping[str, Any]) -> dict[str, float]:
    """Median milliseconds by title."""
    return {
        short(entry): entry["latency_milliseconds"]["median"]
        for entry in values["contenders"]
        if entry["latency_milliseconds"] is not None and entry["target"] != PYTORCH
    }


def ceiling(values: Mapping[str, Any]) -> float:
    """Milliseconds of the network at the rate of the best matrix product."""
    facts = next(iter(values["networks"].values()))
    return 2 * facts["multiply_adds"] / values["ceiling"]["gflop_per_second"] / 1e6


def ratio(values: Mapping[str, Any], upper: str, lower: str | None) -> float | None:
    """How many times as long the first takes; None where one was not measured."""
    found = times(values)
    below = ceiling(values) if lower is None else found.get(lower)
    return found[upper] / below if upper in found and below else None


def cell(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def table_line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
