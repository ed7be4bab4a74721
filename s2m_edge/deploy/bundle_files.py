"""Which files of a bundle's folder are the bundle's: nothing else in it is copied with it, or replaced by another."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from s2m_edge.deploy.contract import CONTRACT_FILE, require_plain_path
from s2m_edge.deploy.golden import GOLDEN_FILE
from s2m_edge.files import FolderKind, exactly

PARITY_FILE = "parity.json"


def bundle_files(folder: Path) -> list[str]:
    """The paths in a folder that a bundle there consists of, by its own contract, of whichever version; none of a
    folder without one. Of a damaged contract, those that every bundle has."""
    path = folder / CONTRACT_FILE
    if not path.is_file():
        return []
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        values = None
    return [CONTRACT_FILE, GOLDEN_FILE, PARITY_FILE, *_named_files(values)]


def _named_files(values: Any) -> list[str]:
    """The files that a contract names with their hashes: `files`, in older versions `artifact.sha256`."""
    if not isinstance(values, dict):
        return []
    artifact = values.get("artifact")
    older = artifact.get("sha256") if isinstance(artifact, dict) else None
    return [name for named in (values.get("files"), older) if isinstance(named, dict) for name in named]


def copy_bundle(source: Path, target: Path) -> None:
    """Copy a bundle's own files into a folder; what else lies beside them stays where it is.

    A missing file is missing in the copy and a link is a link there: opening the copy says so.

    Raises:
        OSError: a file cannot be read, or the place cannot be written.
    """
    for name in dict.fromkeys(bundle_files(source)):
        require_plain_path(name, str(source / CONTRACT_FILE))
        if os.path.lexists(source / name):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, target / name, follow_symlinks=False)


def _patterns(folder: Path) -> list[str]:
    return [exactly(name) for name in bundle_files(folder)]


BUNDLE = FolderKind("a bundle", _patterns)
