"""Text files that users write: UTF-8, with or without a byte order mark. What is not, is said in one line."""

from __future__ import annotations

import codecs
from pathlib import Path

from s2m_edge.errors import ConfigurationError, S2MEdgeError

_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)


def read_text(path: Path, error: type[S2MEdgeError] = ConfigurationError) -> str:
    """The text of a file, line ends as they are.

    Args:
        error: what is raised.

    Raises:
        S2MEdgeError: it cannot be read, or is not UTF-8.
    """
    try:
        content = path.read_bytes()
    except OSError as problem:
        raise error(f"{path} cannot be read ({problem.strerror or problem})", "Check the path.") from None
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), None)
    if encoding is None and b"\0" in content:
        encoding = "UTF-16" if content.count(b"\0") * 3 > len(content) else "binary"
    if encoding is None:
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as problem:
            line = content.count(b"\n", 0, problem.start) + 1
            encoding = f"in another encoding than UTF-8 (line {line}; Latin-1 perhaps)"
    elif encoding == "binary":
        raise error(f"{path} is no text", "Give a text file, saved as UTF-8.")
    else:
        encoding = f"{encoding} text"
    raise error(f"{path} is {encoding}", "Save it as UTF-8.")
