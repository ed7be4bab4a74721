"""Choosing a slice of a volume, the plane of the slices, and which volume of a file."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QSlider, QWidget

from s2m_edge.apps.desktop.documents import Document
from s2m_edge.apps.desktop.plain import plain_label


class SliceRow(QWidget):
    """A slider below the picture; hidden for a picture of one slice.

    Signals:
        chosen: index of the slice that the user moved to.
        cut: the plane (None as acquired) and the volume (None of one alone) that the user wants.
    """

    chosen = Signal(int)
    cut = Signal(object, object)

    def __init__(self) -> None:
        super().__init__()
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName("slice")
        self.slider.setToolTip("Slice (Page Up, Page Down, Ctrl or Shift and the wheel)")
        self.text = plain_label()
        self.plane = _choice("plane", "The plane of the slices")
        self.volume = _choice("volume", "Which volume of the file: of a series in time, or of several contrasts")
        row = QHBoxLayout(self)
        row.addWidget(self.volume)
        row.addWidget(self.plane)
        row.addWidget(self.slider, 1)
        row.addWidget(self.text)
        self.slider.valueChanged.connect(self.chosen)
        for choice in (self.plane, self.volume):
            choice.activated.connect(lambda _: self.cut.emit(self.plane.currentData(), self.volume.currentData()))
        self.hide()

    def set_document(self, document: Document) -> None:
        """Offer what a document can be cut into, without announcing it; a later choice that fails is taken back so."""
        usual = "as acquired" if document.source.kind.startswith("DICOM") else "axial"
        _fill(self.plane, [(plane or usual, plane) for plane in document.planes], document.plane)
        numbers = range(document.volumes) if document.volumes > 1 else [None]
        _fill(self.volume, [(f"volume {number}", number) for number in numbers], document.volume)

    def set_slice(self, index: int, slices: int) -> None:
        """Show where the picture is, without announcing it."""
        self.setVisible(slices > 1 or self.plane.count() > 1 or self.volume.count() > 1)
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


def _choice(name: str, tip: str) -> QComboBox:
    made = QComboBox()
    made.setAccessibleName(name)
    made.setToolTip(tip)
    return made


def _fill(choice: QComboBox, entries: list[tuple[str, object]], chosen: object) -> None:
    """Hidden where there is nothing to choose."""
    choice.clear()
    for text, value in entries:
        choice.addItem(text, value)
    choice.setCurrentIndex(next(index for index, (_, value) in enumerate(entries) if value == chosen))
    choice.setVisible(len(entries) > 1)
