"""What a file claims of itself is compared with what it holds, before anything of that size is allocated."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from s2m_edge.errors import CheckpointError, in_one_line

if TYPE_CHECKING:
    from torch import nn

MOST_VALUES_PER_STORED = 2
"""A network may have as many values as this many of its file's: a quantized one is stored folded, its file holds a few
per cent fewer. Whether each tensor fits is seen when they are loaded."""


def require_held(build: Callable[[], nn.Module], held: int, path: Path) -> None:
    """Raise CheckpointError unless a file holds about as many values as the network that its configuration describes.

    Args:
        build: makes that network; called on PyTorch's meta device, where tensors have a shape and take no memory.
        held: values in the file's tensors.
    """
    import torch

    try:
        with torch.device("meta"):
            network = build()
    except (RuntimeError, TypeError, ValueError, OverflowError) as error:
        raise CheckpointError(
            f"{path} has a configuration that makes no network ({in_one_line(error)})", "Copy the checkpoint again."
        ) from None
    described = sum(tensor.numel() for tensor in network.state_dict().values())
    if described > MOST_VALUES_PER_STORED * held:
        raise CheckpointError(
            f"{path} describes a network of {described} values and holds {held}", "Copy the checkpoint again."
        )


def require_uncompressed(path: Path) -> None:
    """Raise CheckpointError where an archive holds more than its own size: PyTorch writes archives uncompressed, and
    unpacks a megabyte of zeros into gigabytes.

    Raises:
        CheckpointError: it holds more, or is a damaged archive. Files of other formats are left to their reader.
    """
    try:
        if not zipfile.is_zipfile(path):
            return
        with zipfile.ZipFile(path) as archive:
            claimed = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
        raise CheckpointError(f"{path} is a damaged archive ({error})", "Copy it again.") from None
    if claimed > path.stat().st_size:
        raise CheckpointError(
            f"{path} unpacks to {claimed} bytes, more than it has",
            "Save it again, with torch.save or torch.export.save.",
        )
