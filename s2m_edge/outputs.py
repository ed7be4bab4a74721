"""Files that a user names for a report, a chart or a checkpoint: one that is there is replaced only if it is ours."""

from __future__ import annotations

import json
import os
from pathlib import Path

from s2m_edge.errors import OutputError
from s2m_edge.files import LONGEST_NAME, require_writable
from s2m_edge.notice import NOTICE

_MOST = 2**26
"""Bytes that are looked at: no report of ours is longer, and a checkpoint's header comes first."""
_NEVER_REPLACED = ("s2m-edge-reference",)
"""Kinds of files of ours that never change."""


def require_own_file(path: Path, option: str = "--out") -> None:
    """Raise OutputError, naming the option, if `path` is a folder, a file that no command of ours wrote, or in a place
    that cannot be written. Makes no folder."""
    if len(os.fsencode(path.name)) > LONGEST_NAME:
        raise OutputError(f"{path.name[:40]}... is too long for a file's name", f"Choose a shorter one with {option}.")
    if path.is_dir():
        raise OutputError(f"{path} is a folder", f"Give {option} a file.")
    if os.path.lexists(path) and not _is_ours(path):
        raise OutputError(
            f"{path} is there, and was not written by s2m-edge", f"Choose another place with {option}, or remove it."
        )

    try:
        require_writable(next(parent for parent in path.absolute().parents if parent.exists()))
    except OutputError as error:
        raise OutputError(error.cause, f"Choose another place with {option}.") from None


def _is_ours(path: Path) -> bool:
    """Reports, charts and pages carry the notice; checkpoints and guards say so in their metadata."""
    try:
        with path.open("rb") as file:
            content = file.read(_MOST)
        if not content:
            return True  # made to be filled, as mktemp does; nothing is lost
        if content.startswith(b"\x89PNG"):
            return b"tEXtSoftware\0s2m-edge" in content
        length = int.from_bytes(content[:8], "little")
        if content[8:9] == b"{" and 2 <= length <= len(content) - 8:
            metadata = json.loads(content[8 : 8 + length]).get("__metadata__", {})
            kind = str(metadata.get("format", ""))
            return kind.startswith("s2m-edge") and kind not in _NEVER_REPLACED
        if content.lstrip().startswith(b"{"):
            return json.loads(content).get("notice") == NOTICE
        return NOTICE.encode() in content or b"<dc:title>s2m-edge</dc:title>" in content
    except (OSError, ValueError, AttributeError, RecursionError):
        return False
