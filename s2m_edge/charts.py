"""What every chart shares: names it may have, colours, and files that are the same for the same figures."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from s2m_edge.errors import ConfigurationError, MissingBackendError
from s2m_edge.files import write_bytes
from s2m_edge.installation import install_command

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CHART_SUFFIXES = (".png", ".svg")
# Okabe and Ito's palette, which colour-blind readers can tell apart.
BLUE, ORANGE, GREY = "#0072B2", "#E69F00", "#999999"


def require_drawable(path: Path) -> None:
    """Raise before any work unless a chart can be drawn as `path`.

    Raises:
        ConfigurationError: the suffix is neither .png nor .svg.
        MissingBackendError: matplotlib is not installed.
    """
    if path.suffix.lower() not in CHART_SUFFIXES:
        raise ConfigurationError(f"{path} is no chart's name", f"End it with {' or '.join(CHART_SUFFIXES)}.")
    require_plots()


def require_plots() -> None:
    """Raise MissingBackendError unless matplotlib is installed."""
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingBackendError("matplotlib is not installed", install_command("benchmark"))


def write_figure(path: Path, draw: Callable[[], Figure], font_size: float, dots_per_inch: int) -> None:
    """Draw a figure and write it; text stays text in an SVG, and the same figures give the same file.

    Raises:
        OutputError: the place cannot be written.
    """
    import matplotlib as mpl

    suffix = path.suffix.lower()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "s2m-edge", "font.size": font_size}):
        buffer = io.BytesIO()
        metadata = {"Date": None, "Creator": "s2m-edge"} if suffix == ".svg" else {"Software": "s2m-edge"}
        draw().savefig(buffer, format=suffix[1:], dpi=dots_per_inch, metadata=metadata)
    write_bytes(path, buffer.getvalue())
