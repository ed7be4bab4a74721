"""The picture with its overlay: zoom about the pointer, pan by dragging, both by keys; what the pointer asks of slices
and window is told."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, Qt, Signal
from PySide6.QtGui import QColor, QImage, QKeyEvent, QMouseEvent, QPainter, QPixmap, QResizeEvent, QWheelEvent
from PySide6.QtWidgets import QFrame, QGraphicsPixmapItem, QGraphicsScene, QGraphicsView

from s2m_edge.imaging.classes import SegmentClass
from s2m_edge.imaging.overlay import outline, outline_thickness

STEP = 1.25
NOTCH = 120  # of a wheel, in Qt's unit
SMALLEST, LARGEST = 0.02, 64.0
DIMMED = 0.25
CRISP_FROM = 2.0  # single pixels are worth seeing then


def overlay_pixels(
    labels: NDArray[np.uint8], classes: tuple[SegmentClass, ...], opacity: float, fill: bool, edge: bool
) -> NDArray[np.uint8]:
    """The overlay alone, RGBA H x W x 4: regions filled with `opacity` of 0..1, outlines opaque."""
    drawn = np.zeros((*labels.shape, 4), dtype=np.uint8)
    thickness = outline_thickness(*labels.shape)
    for index, entry in enumerate(classes, start=1):
        region = labels == index
        if fill:
            drawn[region] = (*entry.colour, round(255 * opacity))
        if edge:
            drawn[outline(region, thickness)] = (*entry.colour, 255)
    return drawn


class Canvas(QGraphicsView):
    """Shows one picture.

    Signals:
        zoomed: the zoom, 1 for a screen pixel per pixel.
        turned: slices onwards, by the wheel with Ctrl or Shift; below zero back.
        dragged: screen pixels to the right and upwards, with the right button.
        window_reset: a double click of the right button.
    """

    zoomed = Signal(float)
    turned = Signal(int)
    dragged = Signal(float, float)
    window_reset = Signal()

    def __init__(self) -> None:
        self._scene = QGraphicsScene()  # a view does not keep its scene alive
        super().__init__(self._scene)
        self._picture, self._overlay = QGraphicsPixmapItem(), QGraphicsPixmapItem()
        for item in (self._picture, self._overlay):
            self._scene.addItem(item)
        self._fitted = True
        self._awaited = self.hint = ""
        self._turned = 0  # by a wheel that turns in less than a notch
        self._held: QPointF | None = None
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setBackgroundBrush(QColor("#101214"))
        self.setDragMode(QGraphicsView.DragMode.ScrollHandDrag)
        self.setTransformationAnchor(QGraphicsView.ViewportAnchor.AnchorUnderMouse)
        self.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        self.setAccessibleName("picture")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def show_picture(self, image: NDArray[np.uint8] | None) -> None:
        """RGB H x W x 3, or nothing; the zoom stays where the size stays."""
        before = self._picture.boundingRect()
        self._picture.setPixmap(QPixmap() if image is None else _pixmap(image, QImage.Format.Format_RGB888))
        self._overlay.setPixmap(QPixmap())
        self._picture.setOpacity(1.0)
        self._awaited = ""
        self._scene.setSceneRect(self._picture.boundingRect())
        if self._picture.boundingRect() != before or self._fitted:
            self.fit()
        self.viewport().update()

    def change_levels(self, image: NDArray[np.uint8]) -> None:
        """The same picture with other levels, RGB H x W x 3; all else stays as it is."""
        self._picture.setPixmap(_pixmap(image, QImage.Format.Format_RGB888))

    def wait_for(self, name: str) -> None:
        """Dim what is shown, which is not what was asked for, and drop its overlay, until the next picture comes."""
        self._overlay.setPixmap(QPixmap())
        self._picture.setOpacity(DIMMED)
        self._awaited = name
        self.viewport().update()

    def show_overlay(self, pixels: NDArray[np.uint8] | None) -> None:
        """RGBA H x W x 4, or nothing."""
        self._overlay.setPixmap(QPixmap() if pixels is None else _pixmap(pixels, QImage.Format.Format_RGBA8888))

    @property
    def zoom(self) -> float:
        return self.transform().m11()

    @property
    def has_overlay(self) -> bool:
        return not self._overlay.pixmap().isNull()

    def fit(self) -> None:
        """The whole picture."""
        if not self._picture.pixmap().isNull():
            self.fitInView(self._picture, Qt.AspectRatioMode.KeepAspectRatio)
        self._fitted = True
        self._announce()

    def set_zoom(self, zoom: float) -> None:
        """Zoom about the pointer, or the middle."""
        if self._picture.pixmap().isNull():
            return
        factor = min(max(zoom, SMALLEST), LARGEST) / self.zoom
        self.scale(factor, factor)
        self._fitted = False
        self._announce()

    def _announce(self) -> None:
        self.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, self.zoom < CRISP_FROM)
        self.zoomed.emit(self.zoom)

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802 - Qt's name
        turned = event.angleDelta().y()
        if event.modifiers() & (Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier):
            self._turned += turned or event.angleDelta().x()  # some systems turn a wheel with Shift sideways
            notches = int(self._turned / NOTCH)
            self._turned -= notches * NOTCH
            if notches:
                self.turned.emit(-notches)
        elif turned:
            self.set_zoom(self.zoom * STEP ** (turned / NOTCH))
        event.accept()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        keys: dict[int, Callable[[], None]] = {
            Qt.Key.Key_Plus: lambda: self.set_zoom(self.zoom * STEP),
            Qt.Key.Key_Equal: lambda: self.set_zoom(self.zoom * STEP),
            Qt.Key.Key_Minus: lambda: self.set_zoom(self.zoom / STEP),
            Qt.Key.Key_0: self.fit,
            Qt.Key.Key_1: lambda: self.set_zoom(1.0),
        }
        action = keys.get(event.key())
        if action is None:
            super().keyPressEvent(event)  # arrows scroll
        else:
            action()

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        if event.button() == Qt.MouseButton.RightButton:
            self._held = event.position()
        else:
            super().mousePressEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        if self._held is None:
            super().mouseMoveEvent(event)
            return
        way, self._held = event.position() - self._held, event.position()
        self.dragged.emit(way.x(), -way.y())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        if event.button() == Qt.MouseButton.RightButton:
            self._held = None
        else:
            super().mouseReleaseEvent(event)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        if event.button() == Qt.MouseButton.RightButton:
            self.window_reset.emit()
        else:
            self.fit()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        super().resizeEvent(event)
        if self._fitted:
            self.fit()

    def drawForeground(self, painter: QPainter, rect: object) -> None:  # noqa: N802 - Qt's name
        text = self._awaited or (self.hint if self._picture.pixmap().isNull() else "")
        if text:
            painter.resetTransform()
            painter.setPen(QColor("#c9d1d9" if self._awaited else "#8b949e"))
            painter.drawText(self.viewport().rect(), Qt.AlignmentFlag.AlignCenter, text)


def _pixmap(pixels: NDArray[np.uint8], form: QImage.Format) -> QPixmap:
    height, width, channels = pixels.shape
    kept = np.ascontiguousarray(pixels)
    return QPixmap.fromImage(QImage(kept.data, width, height, width * channels, form))
