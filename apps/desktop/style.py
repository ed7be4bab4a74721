"""How the app looks: dark, so that the picture is the brightest thing on the screen."""

from __future__ import annotations

from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QApplication

BACKGROUND, SURFACE, RAISED, LINE = "#16181b", "#1d2024", "#272b30", "#353a41"
TEXT, QUIET, FADED, ACCENT = "#e6e9ed", "#9aa4af", "#5c646d", "#35c48d"
GREEN, RED, AMBER = "#1f8a5b", "#c03a3a", "#8a6d1f"

# Combo boxes are left to Fusion and the palette: a sheet draws their arrow in a black frame, or none.
SHEET = f"""
QWidget {{ font-size: 13px; }}
QMainWindow, QStatusBar {{ background: {BACKGROUND}; }}
QToolBar {{ background: {SURFACE}; border: none; border-bottom: 1px solid {LINE}; padding: 6px; spacing: 6px; }}
QFrame#panel {{ background: {SURFACE}; }}
QLabel#heading {{ color: {QUIET}; font-size: 11px; font-weight: 600; letter-spacing: 1px; }}
QLabel#quiet {{ color: {QUIET}; }}
QLabel#figure {{ font-size: 22px; font-weight: 600; }}
QLabel#badge {{ border-radius: 11px; padding: 3px 12px; color: white; font-weight: 600; }}
QLabel#notice {{ color: #f0c674; font-weight: 600; padding: 4px 10px; }}
QLabel#warning {{ color: #f0c674; font-weight: 600; }}
QPushButton, QToolButton {{
    background: {RAISED}; border: 1px solid {LINE}; border-radius: 6px; padding: 5px 12px; color: {TEXT};
}}
QFileDialog QToolButton {{ padding: 3px; }}
QPushButton:hover, QToolButton:hover {{ border-color: {ACCENT}; }}
QPushButton:pressed, QToolButton:pressed {{ background: {LINE}; }}
QPushButton:disabled, QToolButton:disabled {{ color: {FADED}; border-color: {RAISED}; }}
QPushButton:focus, QToolButton:focus, QListWidget:focus, QGraphicsView:focus {{
    border: 1px solid {ACCENT};
}}
QListWidget {{ background: {BACKGROUND}; border: 1px solid {LINE}; border-radius: 6px; outline: none; }}
QListWidget::item {{ padding: 6px 8px; border-bottom: 1px solid {SURFACE}; }}
QListWidget::item:selected {{ background: {RAISED}; color: {TEXT}; border-left: 3px solid {ACCENT}; }}
QProgressBar {{
    background: {RAISED}; border: none; border-radius: 4px; min-height: 8px; max-height: 8px; color: transparent;
}}
QProgressBar::chunk {{ background: {ACCENT}; border-radius: 4px; }}
QCheckBox::indicator:unchecked {{
    background: {BACKGROUND}; border: 1px solid {FADED}; border-radius: 3px; width: 11px; height: 11px;
}}
QSlider::groove:horizontal {{ background: {LINE}; height: 4px; border-radius: 2px; }}
QSlider::sub-page:horizontal {{ background: {ACCENT}; border-radius: 2px; }}
QSlider::handle:horizontal {{ background: {TEXT}; width: 14px; margin: -5px 0; border-radius: 7px; }}
QSlider::handle:horizontal:focus {{ background: {ACCENT}; border: 2px solid {TEXT}; }}
QSlider::sub-page:horizontal:disabled, QSlider::handle:horizontal:disabled {{ background: {FADED}; }}
QToolTip {{ background: {RAISED}; color: {TEXT}; border: 1px solid {LINE}; padding: 4px; }}
"""


def apply_style(application: QApplication) -> None:
    """Fusion with our colours, the same on every system."""
    application.setStyle("Fusion")
    palette = QPalette()
    roles = {
        QPalette.ColorRole.Window: SURFACE,
        QPalette.ColorRole.Base: BACKGROUND,
        QPalette.ColorRole.AlternateBase: SURFACE,
        QPalette.ColorRole.Button: RAISED,
        QPalette.ColorRole.WindowText: TEXT,
        QPalette.ColorRole.Text: TEXT,
        QPalette.ColorRole.ButtonText: TEXT,
        QPalette.ColorRole.ToolTipText: TEXT,
        QPalette.ColorRole.PlaceholderText: QUIET,
        QPalette.ColorRole.Highlight: ACCENT,
        QPalette.ColorRole.HighlightedText: BACKGROUND,
    }
    for role, colour in roles.items():
        palette.setColor(role, QColor(colour))
    for role in (QPalette.ColorRole.Text, QPalette.ColorRole.WindowText, QPalette.ColorRole.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, role, QColor(FADED))
    application.setPalette(palette)
    application.setStyleSheet(SHEET)
