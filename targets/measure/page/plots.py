"""The page's plots, drawn so that they can be read on white and on black, and printed."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from s2m_edge.charts import BLUE, GREY, ORANGE
from s2m_edge.targets.measure.page.spectrum import StageSpectrum
from s2m_edge.targets.measure.parity.gates import GATES
from s2m_edge.targets.measure.parity.report import ParityReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#808080"
"""Readable on both grounds: its contrast with white and with black is 3.9 and 5.3 to 1."""
SMALLEST = 1e-9
"""What an error of nothing is drawn at: a logarithm has no zero."""


def error_plot(report: ParityReport) -> str:
    """Largest and mean probability error of every picture on a logarithmic scale, with what the gate allows; SVG."""
    from matplotlib.figure import Figure

    gate = GATES[report.precision]
    from matplotlib.ticker import FuncFormatter, NullFormatter

    # Places by hand, and powers without formulas: it lies in every bundle, and takes four times as long otherwise.
    figure = Figure(figsize=(7, 1.9))
    axes = figure.add_axes((0.08, 0.27, 0.9, 0.7))
    rows = (
        ("largest", [image.max_probability_error for image in report.images], gate.probability_error),
        ("mean", [image.mean_probability_error for image in report.images], gate.mean_probability_error),
    )
    drawn: list[float] = []
    for place, (_, errors, limit) in enumerate(rows):
        finite = [max(error, SMALLEST) for error in errors if np.isfinite(error)]
        # Side by side where they would lie upon each other, in the same way every time.
        shifts = np.linspace(-0.22, 0.22, len(finite)) if len(finite) > 1 else np.zeros(len(finite))
        axes.plot(finite, place + shifts, "o", color=BLUE, alpha=0.7, markersize=5, markeredgewidth=0)
        if limit is not None:
            axes.plot([limit, limit], [place - 0.4, place + 0.4], color=ORANGE, linewidth=2.5)
            axes.annotate(
                f" allowed {limit:g}", (limit, place + 0.28), color=INK, fontsize=8, va="center", annotation_clip=False
            )
            drawn.append(limit)
        drawn += finite
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0e}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    if drawn:
        axes.set_xlim(min(drawn) / 4, max(drawn) * 12)
    axes.set_yticks(range(len(rows)), [name for name, _, _ in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel("error of the probability, one dot for each picture")
    _quiet(axes)
    return _svg(figure)


def blocks_plot(blocks: Sequence[tuple[str, float | None, bool]], tolerance: float) -> str:
    """The error of every block along a network, as a share of its range, with what it may be; SVG.

    Args:
        blocks: name, share (None where none was measured; infinite ones are drawn at the top), and whether it leaves
            its tolerance.
    """
    from matplotlib.figure import Figure

    drawn = [share for _, share, _ in blocks if share is not None and np.isfinite(share)]
    top = max([*drawn, tolerance]) * 3
    lowest = max(min([share for share in drawn if share > 0], default=tolerance), SMALLEST)
    figure = Figure(figsize=(7, 0.9 + 0.2 * len(blocks)), layout="constrained")
    axes = figure.subplots()
    axes.plot([tolerance, tolerance], [-0.6, len(blocks) - 0.4], color=GREY, linewidth=1.5, linestyle="--")
    axes.annotate(
        f" allowed {tolerance:g}", (tolerance, -0.6), color=INK, fontsize=8, va="bottom", annotation_clip=False
    )
    for place, (_, share, leaves) in enumerate(blocks):
        if share is not None:
            shown = min(max(share, lowest), top) if np.isfinite(share) else top
            marker, colour = ("X", ORANGE) if leaves else ("o", BLUE)
            axes.plot([shown], [place], marker, color=colour, markersize=7 if leaves else 5, markeredgewidth=0)
    axes.set_xscale("log")
    axes.set_xlim(min(lowest, tolerance) / 3, top * 2)
    axes.set_yticks(range(len(blocks)), [name for name, _, _ in blocks])
    axes.set_ylim(len(blocks) - 0.4, -0.6)
    axes.set_xlabel("error as a share of the block's range; a cross leaves its tolerance")
    _quiet(axes)
    return _svg(figure)


def spectrum_plot(stages: Sequence[StageSpectrum]) -> str:
    """For every filter the power in front of it, its gain, and the power behind it; PNG as a data address."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    figure = Figure(figsize=(7, 2.35 * len(stages)), layout="constrained")
    grid = figure.subplots(len(stages), 3, squeeze=False)
    for row, stage in zip(grid, stages, strict=True):
        top, bottom, left, right = stage.box
        before, after = (np.log10(np.maximum(power, 1e-12)) for power in (stage.before, stage.after))
        highest = float(before.max())
        for axes, power, title in ((row[0], before, "before"), (row[2], after, "after")):
            axes.imshow(power, cmap="viridis", vmin=highest - 6, vmax=highest, interpolation="nearest")
            axes.set_title(title, color=INK, fontsize=9)
        row[0].add_patch(
            Rectangle((left - 0.5, top - 0.5), right - left, bottom - top, fill=False, edgecolor=ORANGE, linewidth=1.5)
        )
        shown = row[1].imshow(stage.gain, cmap="magma", vmin=0.0, interpolation="nearest")
        row[1].set_title("learned filter", color=INK, fontsize=9)
        bar = figure.colorbar(shown, ax=row[1], fraction=0.05)
        bar.ax.tick_params(colors=INK, labelsize=7)
        height, width = stage.size
        row[0].set_ylabel(f"{stage.channels} x {height} x {width}", color=INK, fontsize=8)
        for axes in row:
            axes.set_xticks([])
            axes.set_yticks([])
            _quiet(axes)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, transparent=True, metadata={"Software": "s2m-edge"})
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _quiet(axes: Axes) -> None:
    """No ground of its own, and ink that both grounds bear."""
    axes.patch.set_alpha(0.0)
    axes.tick_params(colors=INK, labelsize=8)
    axes.xaxis.label.set_color(INK)
    axes.xaxis.label.set_fontsize(8)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("bottom", "left"))
        spine.set_color(GREY)


def _svg(figure: Figure) -> str:
    """The drawing, to stand in a page: text as text, the same for the same figures."""
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "s2m-edge"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
