"""Where checkpoints lie: those that came with the package by their names, others by their paths."""

from __future__ import annotations

from pathlib import Path

from s2m_edge.bundled import ASSETS, BUNDLED_CHECKPOINTS
from s2m_edge.deploy.contract import CONTRACT_FILE
from s2m_edge.errors import CheckpointError


def locate_checkpoint(path: str | Path | None = None) -> Path:
    """A checkpoint's file: the path itself, or the bundled one of that name ("polyp" by default).

    A file of that name in the working folder comes first; a folder of that name, say of pictures, does not.
    """
    if path is None:
        return BUNDLED_CHECKPOINTS["polyp"]
    return Path(path) if Path(path).is_file() else BUNDLED_CHECKPOINTS.get(str(path), Path(path))


def locate_model(path: str | Path | None = None) -> Path:
    """A bundle's folder as it is; whatever else is given, a checkpoint's file as `locate_checkpoint` finds it.

    Raises:
        CheckpointError: there is nothing.
    """
    if path is not None and (Path(path) / CONTRACT_FILE).is_file():
        return Path(path)
    found = locate_checkpoint(path)
    if not found.exists():
        raise CheckpointError(
            f"there is no checkpoint or bundle {found}",
            f"Give a .safetensors file, a folder of s2m-edge export, or one of {', '.join(BUNDLED_CHECKPOINTS)}.",
        )
    return found


def is_bundled(path: Path) -> bool:
    """Whether a file is one that came with the package."""
    return path.resolve().is_relative_to(ASSETS.resolve())
