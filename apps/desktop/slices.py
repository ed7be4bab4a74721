"""Choosing a slice of a volume."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QSlider, QWidget

from s2m_edge.apps.desktop.plain import plain_label


class SliceRow(QWidget):
    """A slider below the picture; hidden for a picture of one slice.

    Signals:
        chosen: index of the slice that the user moved to.
    """

    chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName("slice")
        self.slider.setToolTip("Slice (Page Up, Page Down, Ctrl or Shift and the wheel)")
        self.text = plain_label()
        row = QHBoxLayout(self)
        row.addWidget(self.slider, 1)
        row.addWidget(self.text)
        self.slider.valueChanged.connect(self.chosen)
        self.hide()

    def set_slice(self, index: int, slices: int) -> None:
        """Show where the picture is, without announcing it."""
        self.setVisible(slices > 1)
        self.slider.blockSignals(True)
        self.slider.setRange(0, slices - 1)
        self.slider.setValue(index)
        self.slider.blockSignals(False)
        self.text.setText(f"slice {index + 1} of {slices}")

    def move(self, slices: int) -> None:
        """Go on by so many slices, or back."""
        if self.isVisible():
            self.slider.setValue(self.slider.value() + slices)

    def next(self) -> None:
        self.slider.triggerAction(QSlider.SliderAction.SliderSingleStepAdd)

    def previous(self) -> None:
        self.slider.triggerAction(QSlider.SliderAction.SliderSingleStepSub)
