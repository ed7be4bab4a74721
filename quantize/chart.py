"""The sensitivity report as a picture: one bar per block, what stays in float in another colour."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from s2m_edge.errors import ConfigurationError, MissingBackendError
from s2m_edge.files import write_bytes

SUFFIXES = (".png", ".svg")
# Okabe and Ito's palette, which colour-blind readers can tell apart.
QUANTIZED, FLOAT, SET = "#0072B2", "#E69F00", "#999999"
_WIDTH, _ROW, _FRAME, _DOTS_PER_INCH = 10.0, 0.24, 1.8, 140


def require_drawable(path: Path) -> None:
    """Raise before any work unless a chart can be drawn as `path`.

    Raises:
        ConfigurationError: the suffix is neither .png nor .svg.
        MissingBackendError: matplotlib is not installed.
    """
    import importlib.util

    if path.suffix.lower() not in SUFFIXES:
        raise ConfigurationError(f"{path} is no chart's name", f"End it with {' or '.join(SUFFIXES)}.")
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingBackendError("matplotlib is not installed", "pip install 's2m-edge[benchmark]'")


def write_sensitivity_chart(path: Path, values: Mapping[str, Any]) -> None:
    """Draw probability error and movement of the Dice per block.

    Args:
        path: .png or .svg.
        values: of `report_values`.

    Raises:
        OutputError: the place cannot be written.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    blocks = values["blocks"]
    names = [entry["name"] for entry in blocks]
    rows = range(len(blocks))
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "s2m-edge", "font.size": 8}):
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
        buffer = io.BytesIO()
        suffix = path.suffix.lower()
        metadata = {"Date": None} if suffix == ".svg" else {"Software": None}
        figure.savefig(buffer, format=suffix[1:], dpi=_DOTS_PER_INCH, metadata=metadata)
    write_bytes(path, buffer.getvalue())
