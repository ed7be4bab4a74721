"""Where the window's parts are."""

from __future__ import annotations

from PySide6.QtWidgets import QHBoxLayout, QLabel, QStatusBar, QVBoxLayout, QWidget

from s2m_edge.apps.desktop.canvas import Canvas
from s2m_edge.apps.desktop.panels import ControlPanel, QueuePanel, label, scrolled
from s2m_edge.apps.desktop.plain import plain_label
from s2m_edge.apps.desktop.slices import SliceRow
from s2m_edge.deploy.contract import Contract
from s2m_edge.notice import NOTICE

HINT = "Drop images or a folder here\n\nCtrl+O opens images,  Ctrl+Shift+O a folder of studies or images"


class Centre(QWidget):
    """The queue on the left, the picture with its slices in the middle, the controls on the right."""

    def __init__(self, contract: Contract) -> None:
        super().__init__()
        self.canvas, self.queue, self.slices = Canvas(), QueuePanel(), SliceRow()
        self.controls = ControlPanel(contract.threshold, contract.values["output"]["shape"][1] == 1)
        self.canvas.hint = HINT
        middle = QWidget()
        column = QVBoxLayout(middle)
        column.addWidget(self.canvas, 1)
        column.addWidget(self.slices)
        across = QHBoxLayout(self)
        across.addWidget(self.queue)
        across.addWidget(middle, 1)
        across.addWidget(scrolled(self.controls))
        for layout in (column, across):
            layout.setContentsMargins(0, 0, 0, 0)
            layout.setSpacing(0)


class StatusLine:
    """The notice, a message, the window of the display and the zoom, in a status bar."""

    def __init__(self, bar: QStatusBar) -> None:
        self.message, self.window_text, self.zoom_text = label(name="quiet"), plain_label(name="quiet"), plain_label()
        self.notice: QLabel = label(NOTICE, "notice")
        self.notice.setWordWrap(False)
        bar.addWidget(self.notice)
        bar.addWidget(self.message, 1)
        bar.addPermanentWidget(self.window_text)
        bar.addPermanentWidget(self.zoom_text)
