"""The benchmark as a bar chart."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s2m_edge.charts import BLUE, GREY, ORANGE, write_figure
from s2m_edge.targets.measure.benchmark.columns import own_rows, peer_rows
from s2m_edge.targets.measure.benchmark.contenders import PYTORCH
from s2m_edge.targets.measure.benchmark.measure import HIGH, LOW
from s2m_edge.targets.measure.benchmark.report import is_peer

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PYTORCH, _EDGE, _PEER = GREY, BLUE, ORANGE
_WIDTH, _ROW, _FRAME = 9.0, 0.34, 1.9  # inches
_DOTS_PER_INCH = 160
_BEHIND_TEXT = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}


def write_chart(path: Path, values: Mapping[str, Any]) -> None:
    """Draw the medians with their percentiles as horizontal bars, machine and versions below.

    Args:
        path: .png or .svg.
        values: of `report_values`.

    Raises:
        OutputError: the place cannot be written.
    """
    write_figure(path, lambda: draw(values), font_size=9, dots_per_inch=_DOTS_PER_INCH)


def draw(values: Mapping[str, Any]) -> Figure:
    """The figure, on no display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = [*own_rows(values), *peer_rows(values)]
    figure = Figure(figsize=(_WIDTH, _FRAME + _ROW * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    _draw_bars(axes, rows, values["base"])
    size = values["size"]
    axes.set_title(f"S2M-Net, {size} x {size}, batch 1: latency per image", loc="left", fontweight="bold")
    axes.set_xlabel(
        f"milliseconds, median; whiskers {LOW}th to {HIGH}th percentile, {values['settings']['rounds']} rounds"
    )
    caption = f"{values['machine']['line']}. {values['notice']}"
    figure.supxlabel(textwrap.fill(caption, 150), x=0.01, ha="left", fontsize=7, color="#555555")
    return figure


def _draw_bars(axes: Axes, rows: list[Mapping[str, Any]], base: str | None) -> None:
    from matplotlib.patches import Patch

    latencies = [row["latency_milliseconds"] for row in rows]
    medians = [latency["median"] for latency in latencies]
    highs = [latency[f"percentile_{HIGH}"] for latency in latencies]
    whiskers = [
        [median - latency[f"percentile_{LOW}"] for median, latency in zip(medians, latencies, strict=True)],
        [high - median for median, high in zip(medians, highs, strict=True)],
    ]
    positions = range(len(rows))
    axes.barh(
        positions,
        medians,
        xerr=whiskers,
        color=[_colour(row) for row in rows],
        height=0.7,
        error_kw={"ecolor": "#222222", "elinewidth": 1.0, "capsize": 2.5},
    )
    axes.set_yticks(positions, [row["title"] for row in rows])
    axes.invert_yaxis()
    reach = max(highs, default=1.0)
    axes.set_xlim(0, reach * 1.22)  # room for the figures behind the bars
    for position, row, median, high in zip(positions, rows, medians, highs, strict=True):
        ratio = row["ratio_to_eager"]
        text = f"{median:.0f} ms" if median >= 100 else f"{median:.1f} ms"
        if ratio is not None and row["title"] != base and not is_peer(row):
            text += f", {ratio:.1f} x"
        axes.text(high + 0.012 * reach, position, text, va="center", fontsize=8, bbox=_BEHIND_TEXT)
    if base is not None:
        median = next(median for median, row in zip(medians, rows, strict=True) if row["title"] == base)
        axes.axvline(median, color="#555555", linestyle=":", linewidth=1.0, zorder=0)
    if any(is_peer(row) for row in rows):
        kinds = {"S2M-Net, PyTorch": _PYTORCH, "S2M-Net, edge runtimes": _EDGE, "other networks": _PEER}
        handles = [Patch(color=colour, label=kind) for kind, colour in kinds.items()]
        axes.legend(handles=handles, frameon=False, loc="best")
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(axis="y", length=0)


def _colour(row: Mapping[str, Any]) -> str:
    if is_peer(row):
        return _PEER
    return _PYTORCH if row["target"] == PYTORCH else _EDGE
