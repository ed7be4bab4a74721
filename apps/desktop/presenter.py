"""The slice that is shown: its picture under a window, its mask at the threshold, and what is measured of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal

from s2m_edge.apps.desktop import texts
from s2m_edge.apps.desktop.canvas import Canvas, overlay_pixels
from s2m_edge.apps.desktop.documents import Document, Slice
from s2m_edge.apps.desktop.engine import Segmentation, labels_of
from s2m_edge.apps.desktop.panels import ControlPanel
from s2m_edge.apps.desktop.whole import slice_figures
from s2m_edge.apps.desktop.windowing import Window
from s2m_edge.imaging.classes import SegmentClass
from s2m_edge.imaging.results.figures import ClassFigures


@dataclass(frozen=True)
class Shown:
    """A slice that is ready to be shown.

    Attributes:
        read: the slice.
        values: before any window, rows x columns (x 3).
        window: that `read.image` looks like.
        segmentation: None where the network may not be trusted.
        scaled: its probabilities in the picture's size.
    """

    read: Slice
    values: NDArray[Any]
    window: Window
    segmentation: Segmentation | None
    scaled: NDArray[np.float32] | None


class Presenter(QObject):
    """Puts a slice on the canvas and its figures beside it.

    Attributes:
        labels: rows x columns, of what is shown; None where nothing is segmented.
        window: that the user drew; None: as the network sees it.

    Signals:
        windowed: a line on what is shown black and white.
    """

    windowed = Signal(str)

    def __init__(self, canvas: Canvas, controls: ControlPanel, classes: Sequence[SegmentClass]) -> None:
        super().__init__()
        self._canvas, self._controls, self._classes = canvas, controls, tuple(classes)
        self._shown: Shown | None = None
        self._document: Document | None = None
        self.labels: NDArray[np.uint8] | None = None
        self.window: Window | None = None
        canvas.dragged.connect(self.drag_window)
        canvas.window_reset.connect(self.reset_window)

    def close(self) -> None:
        """Show nothing."""
        self._shown = self._document = self.window = None
        self._canvas.show_picture(None)
        self.show_nothing_segmented()
        self.windowed.emit("")

    def present(self, document: Document, shown: Shown, segmented: bool) -> None:
        """Show a slice; its mask if `segmented`. The user's window stays while the document does."""
        if document != self._document:
            self.window = None
        self._document, self._shown = document, shown
        self._canvas.show_picture(self._picture(shown))
        self._tell_window()
        self.show_nothing_segmented()
        if segmented and shown.segmentation is not None:
            self.decide()

    # Window and level: of the screen alone

    def drag_window(self, right: float, up: float) -> None:
        """Change the window by a drag of so many pixels."""
        if self._shown is None:
            return
        self.window = (self.window or self._shown.window).moved(right, up)
        self._redraw()

    def reset_window(self) -> None:
        """Show the picture as the network sees it."""
        self.window = None
        if self._shown is not None:
            self._redraw()

    def _redraw(self) -> None:
        assert self._shown is not None
        self._canvas.change_levels(self._picture(self._shown))
        self._tell_window()

    def _picture(self, shown: Shown) -> NDArray[np.uint8]:
        return shown.read.image if self.window is None else self.window.picture(shown.values)

    def _tell_window(self) -> None:
        assert self._shown is not None
        mark = "as the network sees it" if self.window is None else "display alone, W resets it"
        self.windowed.emit(f"{(self.window or self._shown.window).text} ({mark})")

    # Mask and figures

    def show_nothing_segmented(self) -> None:
        controls = self._controls
        self.labels = None
        self._canvas.show_overlay(None)
        controls.areas.setText("-")
        for shown in (controls.details, controls.millimetres, controls.volume, controls.remarks):
            controls.set_text(shown, "")
        controls.set_warning("")

    def decide(self) -> None:
        """Labels and figures of the slice at the threshold."""
        shown, controls = self._shown, self._controls
        if shown is None or shown.scaled is None or shown.segmentation is None:
            return
        self.labels = labels_of(shown.scaled, controls.chosen_threshold)
        figures = slice_figures(self.labels, shown.read.grid, self._classes)
        guard = shown.segmentation.guard
        controls.areas.setText(texts.share_text(figures, self.labels.size))
        controls.set_text(controls.details, texts.pixel_text(figures, shown.segmentation))
        controls.set_text(controls.millimetres, texts.millimetre_text(figures, shown.read))
        controls.set_text(controls.remarks, "\n".join(shown.read.remarks))
        controls.set_warning("" if guard is None else guard.warning)
        self.draw_overlay()

    def show_volume(self, segmented: int, figures: Sequence[ClassFigures] | None) -> None:
        """What is known of the whole study of the slice; see `volume_text`."""
        if self._shown is not None and self._document is not None and self.labels is not None:
            text = texts.volume_text(self._document, self._shown.read, segmented, figures)
            self._controls.set_text(self._controls.volume, text)

    def draw_overlay(self) -> None:
        controls = self._controls
        if self.labels is None or not controls.shown.isChecked():
            self._canvas.show_overlay(None)
            return
        opacity = controls.opacity.value() / 100
        self._canvas.show_overlay(
            overlay_pixels(self.labels, self._classes, opacity, controls.fills, controls.outlines)
        )
