"""Strangers' texts (names of files and classes, metadata, messages) as they are shown and kept. A leaf."""

from __future__ import annotations

import json
import re
from typing import Any

_NO_TEXT = re.compile("[\x7f-\x9f\ud800-\udfff]")
"""What JSON may hold and no file or terminal should: control characters that JSON lets pass, and halves of characters,
which stand for the bytes of a file's name that are no UTF-8."""


def printable(text: str) -> str:
    """A text without anything that moves a terminal, hides or reorders what stands beside it, or cannot be encoded:
    such characters appear escaped, as \\x1b or \\udcff. Line breaks too."""
    if text.isprintable():
        return text
    return "".join(
        sign if sign.isprintable() or sign in _SPACES else sign.encode("unicode_escape").decode() for sign in text
    )


_SPACES = "\u00a0\u202f\u3000"
"""Spaces that people have in names (a Mac's screenshots), which Python does not call printable."""


def json_text(values: Any, *, only_ascii: bool = False) -> str:
    """JSON, indented, that any encoding which knows ASCII (`only_ascii`), or else UTF-8, can hold.

    A name that is no UTF-8 comes back from `json.loads` as it was.
    """
    text = json.dumps(values, indent=2, ensure_ascii=only_ascii)
    return _NO_TEXT.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def harmless_cell(text: str) -> str:
    """A text as a table's cell: printable, and with an apostrophe before it where a spreadsheet would take it for a
    formula and compute it, which can fetch files and addresses."""
    shown = printable(text)
    return f"'{shown}" if shown.lstrip().startswith(_FORMULA) else shown


_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""The signs of a formula, and their full-width forms."""


def encoded(text: str) -> bytes:
    """UTF-8; what it cannot hold appears escaped."""
    return text.encode("utf-8", "backslashreplace")
