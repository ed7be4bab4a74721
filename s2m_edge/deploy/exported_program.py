"""Programs of torch.export (.pt2), loaded only where nothing in the file can run code.

torch.export.load trusts its file: it unpickles custom objects, looks functions up by the names in the file, and
evaluates the expressions of symbolic sizes. So the archive is read here first, and only a program of plain operators
with static sizes and raw tensors is handed on.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from torch import Tensor, nn

from s2m_edge import interrupts
from s2m_edge.deploy.claims import require_uncompressed
from s2m_edge.errors import CheckpointError, in_one_line

PLAIN_TARGET = re.compile(r"torch\.ops\.(aten|prims|s2m_edge)\.\w+\.\w+|_operator\.getitem")
LARGEST_TEXT = 256 * 2**20
"""Bytes of one JSON file in the archive; more is refused before it is read."""
ALLOWED_FOLDERS = ("data/weights/", "data/constants/", "data/sample_inputs/", "models/", ".data/")
ALLOWED_FILES = ("archive_format", "archive_version", "byteorder", "data/serialization_id", "version")
REMEDY = "Export it again with static sizes and plain tensors, or give --network module:factory with --weights."


class ProgramNetwork(nn.Module):
    """A program as a network in eval mode: it was traced in that mode, and has no other."""

    def __init__(self, program: nn.Module) -> None:
        super().__init__()
        self.program = program
        self.training = False

    def train(self, mode: bool = True) -> ProgramNetwork:
        """Does nothing: a traced program has one mode."""
        return self

    def forward(self, image: Tensor) -> Tensor:
        found: Any = self.program(image)
        if isinstance(found, list | tuple) and len(found) == 1:
            found = found[0]
        return cast(Tensor, found)


def load_program(path: Path) -> nn.Module:
    """The network of a .pt2 file.

    Raises:
        CheckpointError: missing, damaged, or loading it would run code.
    """
    import torch

    require_plain_archive(path)
    try:
        program = torch.export.load(path)
        network = program.module()
    except Exception as error:
        interrupts.heed(error)
        raise CheckpointError(f"{path} does not load ({in_one_line(error)})", REMEDY) from error
    return ProgramNetwork(network).requires_grad_(False)


def require_plain_archive(path: Path) -> None:
    """Raise CheckpointError unless nothing in a .pt2 archive asks for code."""
    if not path.is_file():
        raise CheckpointError(f"there is no program {path}", "Check the path.")
    require_uncompressed(path)
    try:
        with zipfile.ZipFile(path) as archive:
            _require_plain(archive, path)
    except (zipfile.BadZipFile, ValueError, KeyError, OSError, RecursionError) as error:
        raise CheckpointError(f"{path} is no readable .pt2 archive ({error})", "Export it again.") from None


def _require_plain(archive: zipfile.ZipFile, path: Path) -> None:
    programs = 0
    for entry in archive.infolist():
        name = entry.filename.partition("/")[2]
        if not (name in ALLOWED_FILES or name.startswith(ALLOWED_FOLDERS)) or "custom_obj" in name:
            raise CheckpointError(f"{path} holds {name}, which would run code when it is loaded", REMEDY)
        if not name.endswith(".json"):
            continue
        if entry.file_size > LARGEST_TEXT:
            raise CheckpointError(f"{path} holds {name} of {entry.file_size} bytes", REMEDY)
        values = json.loads(archive.read(entry))
        programs += name.startswith("models/")
        for key, value in _walk(values):
            if key == "use_pickle" and value:
                raise CheckpointError(f"{path} holds pickled tensors, and loading those runs code", REMEDY)
            if key == "expr_str" and not re.fullmatch(r"-?\d+", str(value)):
                raise CheckpointError(f"{path} has symbolic sizes, whose expressions would be evaluated", REMEDY)
            if key == "target" and isinstance(value, str) and not PLAIN_TARGET.fullmatch(value):
                raise CheckpointError(f"{path} calls {value}, which is no plain operator", REMEDY)
    if programs != 1:
        raise CheckpointError(f"{path} holds {programs} programs", "Export one network a file.")


def _walk(values: Any) -> Iterator[tuple[str, Any]]:
    """Every key with its value, at any depth."""
    stack = [values]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            yield from value.items()
            stack.extend(value.values())
        elif isinstance(value, list):
            stack.extend(value)
