"""The sensitivity report as a picture: one bar per block, what stays in float in another colour."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s2m_edge.charts import BLUE, GREY, ORANGE, write_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

QUANTIZED, FLOAT, SET = BLUE, ORANGE, GREY
_WIDTH, _ROW, _FRAME, _DOTS_PER_INCH = 10.0, 0.24, 1.8, 140


def write_sensitivity_chart(path: Path, values: Mapping[str, Any]) -> None:
    """Draw probability error and movement of the Dice per block.

    Args:
        path: .png or .svg.
        values: of `report_values`.

    Raises:
        OutputError: the place cannot be written.
    """
    write_figure(path, lambda: draw(values), font_size=8, dots_per_inch=_DOTS_PER_INCH)


def draw(values: Mapping[str, Any]) -> Figure:
    """The figure, on no display."""
    from matplotlib.figure import Figure

    blocks = values["blocks"]
    names = [entry["name"] for entry in blocks]
    rows = range(len(blocks))
    figure = Figure(figsize=(_WIDTH, _FRAME + _ROW * len(blocks)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    colours = [
        SET if entry["name"] in ("the default", "everything") else FLOAT if entry["float_by_default"] else QUANTIZED
        for entry in blocks
    ]
    left.barh(rows, [entry["error"] for entry in blocks], color=colours)
    left.set_yticks(list(rows), names)
    left.invert_yaxis()
    left.set_xlabel("error of the probabilities (root mean square)")
    right.barh(rows, [entry["dice_moved"] for entry in blocks], color=colours)
    right.plot([entry["worst_moved"] for entry in blocks], list(rows), "k|", markersize=7)
    right.axvline(0.0, color="black", linewidth=0.6)
    right.set_xlabel("Dice moved: bar the mean, tick the worst image")
    for axes in (left, right):
        axes.locator_params(axis="x", nbins=6)
        axes.margins(y=0.01)
        axes.grid(axis="x", linewidth=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    data = values["data"]
    figure.suptitle(
        f"{values['checkpoint']['file']}: one block in int8, all others in float; {data['images']} images of "
        f"{data['name']}, {data['split']} (float Dice {values['float_dice']:.3f})\n"
        "blue: int8 by default, orange: float by default, grey: sets of blocks",
        fontsize=9,
    )
    figure.supxlabel(values["notice"], fontsize=7)
    return figure
