"""Bland and Altman's plot of predicted and true volumes, one panel for each class."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from s2m_edge.charts import BLUE, GREY, ORANGE, write_figure
from s2m_edge.notice import NOTICE
from s2m_edge.targets.measure.evaluation.agreement import Agreement
from s2m_edge.texts import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH, _HEIGHT = 6.4, 4.2
_DOTS_PER_INCH = 120


def write_agreement_chart(path: Path, title: str, classes: Sequence[tuple[str, Agreement]]) -> None:
    """Draw the plot to a PNG or SVG file.

    Args:
        title: one line.
        classes: name and agreement of each.

    Raises:
        OutputError: the place cannot be written.
    """
    write_figure(path, lambda: draw_agreement(title, classes), font_size=9, dots_per_inch=_DOTS_PER_INCH)


def draw_agreement(title: str, classes: Sequence[tuple[str, Agreement]]) -> Figure:
    """The figure, on no display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, _HEIGHT * len(classes)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(classes), 1, squeeze=False)
    for axes, (name, found) in zip(panels[:, 0], classes, strict=True):
        _draw_panel(axes, name, found)
    figure.suptitle(_plain(textwrap.fill(title, 80)), x=0.01, ha="left", fontweight="bold")
    figure.supxlabel(NOTICE, x=0.01, ha="left", fontsize=7, color="#555555")
    return figure


def _draw_panel(axes: Axes, name: str, found: Agreement) -> None:
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.scatter(found.means, found.differences, s=22, color=BLUE, zorder=3)
    lines = [(found.bias, "bias", "-")]
    if found.limits is not None:
        lines += [(found.limits[0], "limit", "--"), (found.limits[1], "limit", "--")]
    for value, word, style in lines:
        axes.axhline(value, color=ORANGE, linestyle=style, linewidth=1.2)
        axes.annotate(
            f"{word} {value:.4g}", (1, value), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=8
        )
    axes.margins(y=0.15)
    axes.set_title(f"{_plain(name)}: {len(found.means)} patients", loc="left")
    axes.set_xlabel(f"mean of the predicted and the true volume ({found.unit})")
    axes.set_ylabel(f"predicted minus true ({found.unit})")


def _plain(text: str) -> str:
    """Texts of users as they are: a dollar sign begins no formula."""
    return printable(text).replace("$", r"\$") if "\n" not in text else text.replace("$", r"\$")
