"""How this copy of the toolkit was installed, and so which command adds to it. A leaf: every remedy names it."""

from __future__ import annotations

import json
import shlex
from importlib import metadata
from pathlib import Path
from typing import Any

DISTRIBUTION = "s2m-edge"
CHECKOUT = Path(__file__).resolve().parents[1]
"""The repository's root, where this file lies in a clone."""


def install_command(extra: str) -> str:
    """The command that adds an extra to this copy: a clone, a wheel's file, a folder, or what an index serves."""
    return f"pip install {_what(extra)}"


def _what(extra: str) -> str:
    if (CHECKOUT / "pyproject.toml").is_file():
        place = "." if Path(".").samefile(CHECKOUT) else str(CHECKOUT)
        return f"-e {shlex.quote(f'{place}[{extra}]')}"
    from urllib.parse import urlparse  # urllib.request brings a client for HTTP along
    from urllib.request import url2pathname

    origin = _origin()
    url = urlparse(str(origin.get("url", "")))
    if url.scheme == "file":
        return shlex.quote(f"{url2pathname(url.path)}[{extra}]")
    return shlex.quote(f"{DISTRIBUTION}[{extra}]")


def _origin() -> dict[str, Any]:
    """What pip wrote down of where the distribution came from (PEP 610); empty of one from an index."""
    try:
        written = metadata.distribution(DISTRIBUTION).read_text("direct_url.json")
        found = json.loads(written or "{}")
    except (metadata.PackageNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
