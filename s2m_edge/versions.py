"""Versions of everything that a report has to name."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable
from functools import cache
from importlib import metadata

from s2m_edge import __version__

OF_THE_WORKSHOP = ("dev", "docs")
"""Extras that only those need who work on the toolkit itself."""

NOT_REPORTED = (*OF_THE_WORKSHOP, "train", "teacher", "quantize", "desktop", "web", "archive")
"""Extras of which no artifact and no figure depends."""


@cache
def pinned_requirements() -> tuple[tuple[str, str, str], ...]:
    """Name, version and extra of every requirement of ours that is pinned exactly, each once; "" of a bare install.

    The backends are, because parity is stated for the versions that were found to fit together. A new target's are here
    because its extra names them.
    """
    pattern = re.compile(r"([A-Za-z0-9_.-]+)==([^;\s]+)\s*(?:;.*extra\s*==\s*[\"']([^\"']+)[\"'])?")
    found: dict[str, tuple[str, str, str]] = {}
    for text in metadata.requires("s2m-edge") or ():
        match = pattern.match(text)
        if match and match.group(3) not in OF_THE_WORKSHOP:
            found.setdefault(match.group(1), (match.group(1), match.group(2), match.group(3) or ""))
    return tuple(found.values())


def installed_version(distribution: str) -> str | None:
    """The version of an installed distribution, or None."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def tool_versions() -> dict[str, str]:
    """Versions of s2m-edge, Python, the platform and the installed packages that take part."""
    return _versions(name for name, _, extra in pinned_requirements() if extra not in NOT_REPORTED)


def computing_versions(*further: str) -> dict[str, str]:
    """Of these those that a network computes with in PyTorch: of what comes before any target is chosen.

    Args:
        further: distributions that take part beside those of a bare install.
    """
    return _versions([*(name for name, _, extra in pinned_requirements() if not extra), *further])


def _versions(names: Iterable[str]) -> dict[str, str]:
    found = {name: version for name in names if (version := installed_version(name)) is not None}
    return {
        "s2m-edge": __version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        **found,
    }
