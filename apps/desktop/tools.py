"""The row of tools above the picture, with the self-test's badge at its end."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMainWindow, QSizePolicy, QToolBar, QWidget

from s2m_edge.apps.desktop.plain import plain_label, plain_tip


class ToolRow(QToolBar):
    """Actions with their keys; the badge tells whether the network may be trusted on this device.

    Args:
        window: that has the row, and where the keys work.
    """

    def __init__(self, window: QMainWindow) -> None:
        super().__init__("actions")
        self.setMovable(False)
        self._window = window
        room = QWidget()
        room.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self._room = self.addWidget(room)
        self.badge = plain_label(name="badge")
        self.badge.setAccessibleName("self-test")
        self.addWidget(self.badge)
        window.addToolBar(self)

    def add(self, text: str, keys: str, called: Callable[[], object], visible: bool = True) -> None:
        """An action; one that is not visible has its key alone."""
        action = QAction(text, self._window)
        action.setShortcut(QKeySequence(keys))
        action.setToolTip(f"{text} ({keys})")
        action.triggered.connect(lambda _=False: called())
        self._window.addAction(action)
        if visible:
            self.insertAction(self._room, action)

    def set_badge(self, text: str, colour: str, tip: str = "") -> None:
        self.badge.setText(text)
        self.badge.setStyleSheet(f"background: {colour};")
        self.badge.setToolTip(plain_tip(tip))
