"""DICOM's identifiers, where they become names of files: nothing else from the network ever does."""

from __future__ import annotations

import re

_UID = re.compile(r"[0-9]+(?:\.[0-9]+)*")
_LONGEST = 64


def is_uid(text: str) -> bool:
    """Whether a text is a UID: up to 64 digits and single dots (PS3.5 9.1; leading zeros occur, and are let pass)."""
    return len(text) <= _LONGEST and _UID.fullmatch(text) is not None
