"""Which folders are packaged: every one with an `__init__.py`, the rooms at the top under the one name `s2m_edge`.

Everything else of the project is in pyproject.toml. Setuptools' own search knows one root only.
"""

from __future__ import annotations

import os
from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).resolve().parent
ROOMS = {
    "s2m_edge": "s2m_edge",
    "s2m_edge.train": "train",
    "s2m_edge.quantize": "quantize",
    "s2m_edge.targets": "targets",
    "s2m_edge.apps": "apps",
}
# Beside Python: native sources, recipes, schemas, code for bundles' pages, templates, and what the apps are built from.
# Patterns are relative to a package.
DATA = {
    "": ["csrc/**/*", "native/*", "usage.md", "*.j2"],
    "s2m_edge": ["assets/**/*", "schemas/*.json"],
    "s2m_edge.train": ["recipes/*.yaml"],
    "s2m_edge.apps.runner": ["CMakeLists.txt", "source/*", "test/*", "third_party/**/*"],
    "s2m_edge.apps.web": ["index.html", "*.json", "*.js", "plugins/**/*", "src/**/*", "public/**/*", "LICENSE*"],
}


def find_packages() -> list[str]:
    """Names of all packages. Links (editors see the rooms through some) are not followed."""
    found: list[str] = []
    for name, folder in ROOMS.items():
        for place, folders, files in os.walk(ROOT / folder):
            here = Path(place)
            folders[:] = [entry for entry in folders if entry.isidentifier() and not (here / entry).is_symlink()]
            if "__init__.py" in files:
                found.append(".".join((name, *here.relative_to(ROOT / folder).parts)))
    return sorted(found)


if __name__ == "__main__":
    setup(packages=find_packages(), package_dir=ROOMS, package_data=DATA)
