"""The two side panels: the queue on the left, overlay, result, device and model on the right."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from s2m_edge.apps.desktop.documents import Document
from s2m_edge.apps.desktop.engine import Device
from s2m_edge.apps.desktop.formats import FormatChoice
from s2m_edge.apps.desktop.plain import plain_label, plain_tip
from s2m_edge.imaging.overlay import FILL_OPACITY
from s2m_edge.texts import printable

STYLES = ("fill and outline", "outline", "fill")
DOCUMENT = Qt.ItemDataRole.UserRole


def label(text: str = "", name: str = "") -> QLabel:
    """A label that a style rule may name; long texts wrap."""
    made = plain_label(text, name)
    made.setWordWrap(True)
    return made


def heading(text: str) -> QLabel:
    made = label(text.upper(), "heading")
    made.setContentsMargins(0, 14, 0, 0)
    return made


def slider(maximum: int, value: int, name: str, tip: str) -> QSlider:
    made = QSlider(Qt.Orientation.Horizontal)
    made.setRange(0, maximum)
    made.setValue(value)
    made.setAccessibleName(name)
    made.setToolTip(tip)
    return made


class Panel(QFrame):
    """A column of widgets."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.setObjectName("panel")
        self.setFixedWidth(width)
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(14, 6, 14, 14)
        self.column.setSpacing(6)

    def add(self, *widgets: QWidget) -> None:
        """Widgets below each other; several in one call stand side by side, the first taking the room."""
        if len(widgets) == 1:
            self.column.addWidget(widgets[0])
            return
        row = QHBoxLayout()
        for index, widget in enumerate(widgets):
            row.addWidget(widget, 0 if index else 1)
        self.column.addLayout(row)


def scrolled(panel: Panel) -> QScrollArea:
    """A panel in its own width, to scroll where the window is lower than it: texts would be cut off."""
    area = QScrollArea()
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setFixedWidth(panel.width())
    panel.setMinimumWidth(0)  # the bar takes its room from the panel
    area.setWidgetResizable(True)
    area.setWidget(panel)
    return area


class QueuePanel(Panel):
    """The opened studies and pictures, how far the batch is, and what an export is to write.

    Signals:
        chosen: the document that is to be shown.
    """

    chosen = Signal(object)

    def __init__(self) -> None:
        super().__init__(260)
        self._items: dict[Document, QListWidgetItem] = {}
        self.list = QListWidget()
        self.list.setAccessibleName("opened images")
        self.list.currentItemChanged.connect(lambda item, _: item and self.chosen.emit(item.data(DOCUMENT)))
        self.progress = QProgressBar()
        self.progress.setAccessibleName("progress")
        self.progress_text = label("", "quiet")
        self.run = QPushButton("Segment all")
        self.run.setToolTip("Segment every opened image and slice (Ctrl+R)")
        self.cancel = QPushButton("Cancel")
        self.cancel.setToolTip("Stop after the picture in work (Esc)")
        self.formats = FormatChoice()
        self.export = QPushButton("Export...")
        self.export.setToolTip("The formats that are ticked, and a CSV of all that was segmented (Ctrl+E)")
        self.clear = QPushButton("Clear")
        self.clear.setToolTip("Close every image")
        self.add(heading("Images"))
        self.column.addWidget(self.list, 1)
        self.add(self.progress_text)
        self.add(self.progress)
        self.add(self.run, self.cancel)
        self.add(heading("Export"))
        self.add(self.formats)
        self.add(self.export, self.clear)
        self.set_progress(0, 0)

    def add_document(self, document: Document) -> None:
        item = QListWidgetItem()
        item.setData(DOCUMENT, document)
        self._items[document] = item
        self.list.addItem(item)
        self.set_state(document, "waiting")

    def replace_document(self, document: Document, other: Document) -> None:
        """Put another in a document's place."""
        item = self._items[document]
        item.setData(DOCUMENT, other)
        self._items = {other if held == document else held: entry for held, entry in self._items.items()}
        self.set_state(other, "waiting")

    def documents(self) -> list[Document]:
        return list(self._items)

    def holds(self, document: Document) -> bool:
        return document in self._items

    def clear_documents(self) -> None:
        self.list.blockSignals(True)  # it would choose one after the other
        self.list.clear()
        self.list.blockSignals(False)
        self._items.clear()

    def set_state(self, document: Document, state: str, tip: str = "") -> None:
        """The second line of a document's entry."""
        item = self._items.get(document)
        if item is not None:
            slices = f"{document.slices} slices, " if document.slices > 1 else ""
            slices = f"{document.cut}, {slices}" if document.cut else slices
            item.setText(f"{printable(document.title)}\n{slices}{state}")
            item.setToolTip(plain_tip(tip or str(document.path)))

    def set_progress(self, done: int, total: int, text: str = "") -> None:
        self.progress.setVisible(total > 0)
        self.progress_text.setVisible(bool(text))
        self.progress_text.setText(text)
        self.progress.setMaximum(max(total, 1))
        self.progress.setValue(done)


class ControlPanel(Panel):
    """Overlay, result, device and model.

    Signals:
        overlay_changed: how the overlay is drawn. threshold_changed: what counts as foreground.
    """

    overlay_changed = Signal()
    threshold_changed = Signal()

    def __init__(self, threshold: float, takes_threshold: bool) -> None:
        super().__init__(290)
        self.usual_threshold = threshold
        self.shown = QCheckBox("Show overlay")
        self.shown.setChecked(True)
        self.shown.setToolTip("O")
        self.overlay_style = QComboBox()
        self.overlay_style.addItems(STYLES)
        self.overlay_style.setAccessibleName("overlay style")
        self.opacity = slider(100, round(100 * FILL_OPACITY), "opacity of the fill", "Opacity of the fill")
        self.opacity_text = label(name="quiet")
        self.threshold = slider(1000, round(1000 * threshold), "threshold", "Probability that counts as foreground")
        self.threshold_text = label(name="quiet")
        self.reset = QPushButton("Reset")
        self.reset.setToolTip(f"The contract's threshold, {threshold:g}")
        for widget in (self.threshold, self.reset):
            widget.setEnabled(takes_threshold)
        self.areas = label("-", "figure")
        self.details = label(name="quiet")
        self.millimetres = label()
        self.volume = label()
        self.remarks = label(name="quiet")
        self.warning = label(name="warning")
        self.device = QComboBox()
        self.device.setAccessibleName("device")
        self.device.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        for box in (self.overlay_style, self.device):
            box.setMinimumHeight(28)
        self.compare = QPushButton("Measure all devices")
        self.latency = label(name="quiet")
        self.model = label(name="quiet")
        self._lay_out()
        self.shown.toggled.connect(self.overlay_changed)
        self.overlay_style.currentIndexChanged.connect(self.overlay_changed)
        self.opacity.valueChanged.connect(self._announce)
        self.threshold.valueChanged.connect(self._announce)
        self.reset.clicked.connect(lambda: self.threshold.setValue(round(1000 * self.usual_threshold)))
        self.opacity.valueChanged.connect(self.overlay_changed)
        self.threshold.valueChanged.connect(self.threshold_changed)
        self._announce()

    def _lay_out(self) -> None:
        self.add(heading("Result"))
        self.add(self.areas)
        self.add(self.details)
        self.add(self.millimetres)
        self.add(self.volume)
        self.add(self.remarks)
        self.add(self.warning)
        self.add(heading("Overlay"))
        self.add(self.shown)
        self.add(self.overlay_style)
        self.add(self.opacity_text)
        self.add(self.opacity)
        self.add(self.threshold_text)
        self.add(self.threshold, self.reset)
        self.add(heading("Device"))
        self.add(self.device)
        self.add(self.latency)
        self.add(self.compare)
        self.add(heading("Model"))
        self.add(self.model)
        self.column.addStretch(1)

    def _announce(self) -> None:
        self.opacity_text.setText(f"Fill opacity {self.opacity.value()} %")
        self.threshold_text.setText(f"Threshold {self.chosen_threshold:.3f}")

    @property
    def chosen_threshold(self) -> float:
        """The slider's, but the contract's own where it stands there, which may lie between two steps."""
        value = self.threshold.value()
        return self.usual_threshold if value == round(1000 * self.usual_threshold) else value / 1000

    @property
    def fills(self) -> bool:
        return "fill" in self.overlay_style.currentText()

    @property
    def outlines(self) -> bool:
        return "outline" in self.overlay_style.currentText()

    def set_devices(self, devices: list[Device], chosen: str) -> None:
        self.device.blockSignals(True)
        self.device.clear()
        for device in devices:
            self.device.addItem(device.title, device.name)
        self.device.setCurrentIndex(max(0, self.device.findData(chosen)))
        self.device.blockSignals(False)

    def set_text(self, shown: QLabel, text: str) -> None:
        """A line that takes no room where it is empty."""
        shown.setText(text)
        shown.setVisible(bool(text))

    def set_warning(self, text: str) -> None:
        """Why the figures may mean nothing; empty hides it."""
        self.set_text(self.warning, f"This picture {text}." if text else "")

    def set_latency(self, device: str, text: str) -> None:
        """What was measured, behind the device's name."""
        row = self.device.findData(device)
        if row >= 0:
            title = self.device.itemText(row).split("  |  ")[0]
            self.device.setItemText(row, f"{title}  |  {text}")
