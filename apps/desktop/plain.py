"""Texts as they are: Qt takes what looks like HTML for HTML, and names of files and classes come from strangers."""

from __future__ import annotations

import html

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel

from s2m_edge.texts import printable


def plain_label(text: str = "", name: str = "") -> QLabel:
    """A label that interprets nothing; `name` is what a style rule calls it."""
    made = QLabel()
    made.setTextFormat(Qt.TextFormat.PlainText)
    made.setText(text)
    made.setObjectName(name)
    return made


def plain_tip(text: str) -> str:
    """A tooltip that shows a text as it is; Qt has no other way to ask for that than HTML. Lines stay lines."""
    if not text:
        return ""
    return "<qt>" + "<br>".join(html.escape(printable(line)) for line in text.split("\n")) + "</qt>"
