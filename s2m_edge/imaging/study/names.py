"""What studies are called: texts that can be printed, and that any file system takes as a name."""

from __future__ import annotations

import re
import unicodedata

LONGEST = 60
"""Characters of a name, before its tail: endings follow, and a file system counts bytes."""
_TAIL = 8


def safe_name(text: str) -> str:
    """Letters, digits, `.`, `_` and `-` of a text, in any script; all else becomes one `-`. Maybe empty."""
    composed = unicodedata.normalize("NFC", text.encode("utf-8", "replace").decode("utf-8"))
    kept = re.sub(r"[^\w.\-]+", "-", composed)
    cut = re.sub(r"-{2,}", "-", kept)
    while len(cut) > LONGEST or len(cut.encode()) > 2 * LONGEST:
        cut = cut[:-1]
    return cut.strip("-._")


def series_name(description: str, number: int | None, uid: str, instance: int | None = None) -> str:
    """What a series is called: by its description or else its number, then the end of its UID.

    Args:
        instance: of one file with several frames, its number within the series.
    """
    words = [safe_name(description) or ("series" if number is None else f"series-{number}")]
    if instance is not None:
        words.append(str(instance))
    tail = re.sub(r"\W", "", uid)[-_TAIL:]
    return "-".join([*words, tail] if tail else words)
