"""The benchmark as a Markdown page."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from s2m_edge.targets.measure.benchmark.columns import (
    COST_COLUMNS,
    Column,
    Values,
    header_lines,
    left_out,
    own_rows,
    peer_rows,
    profile_headings,
    profile_rows,
    profiled,
    summary_lines,
    time_columns,
)


def markdown_page(values: Mapping[str, Any], page: Path, chart: Path | None) -> str:
    """The page's text.

    Args:
        values: of `report_values`.
        page: where it will be written; the chart is linked from there.
        chart: a picture to show.
    """
    size = values["size"]
    columns = (*time_columns(values), *COST_COLUMNS)
    parts = [f"# Benchmark at {size} x {size}", *(f"{line[:1].upper()}{line[1:]}." for line in header_lines(values))]
    if chart is not None:
        target = Path(os.path.relpath(chart, page.parent)).as_posix()
        parts.append(f"![Median latency of every contender]({target})")
    parts.append(_contender_table("contender", own_rows(values), columns))
    if peers := peer_rows(values):
        parts += [
            "Other networks, through the same exporters and gates:",
            _contender_table("network", peers, columns),
        ]
    parts.append("\n".join(f"- {line}" for line in summary_lines(values)))
    if lines := left_out(values):
        parts += ["Not measured:", "\n".join(f"- {line}" for line in lines)]
    if entries := profiled(values):
        parts.append("## Where the time goes")
        for entry in entries:
            parts += [
                f"{entry['title']} ({entry['profile']['method']}):",
                _table(profile_headings(entry), profile_rows(entry)),
            ]
        parts.append("Milliseconds. A decoder step counts to the stage whose skip connection it takes.")
    parts += ["## How it was measured", "\n".join(f"- {name}: {text}" for name, text in values["method"].items())]
    parts += [f"Written by `s2m-edge benchmark --markdown`. {values['notice']}"]
    return "\n\n".join(parts) + "\n"


def _contender_table(heading: str, rows: Sequence[Values], columns: Sequence[Column]) -> str:
    cells = [[row["title"], *(column.text(row) for column in columns)] for row in rows]
    return _table([heading, *(column.heading for column in columns)], cells)


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = ["---", *("---:" for _ in headings[1:])]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (headings, rule, *rows))
