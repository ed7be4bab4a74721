"""A teacher's file: weights, layout and provenance in one safetensors file. Not bundled; who needs one trains it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s2m_edge.deploy.claims import require_held
from s2m_edge.errors import CheckpointError
from s2m_edge.files import file_sha256, write_bytes
from s2m_edge.train.teacher.config import TeacherConfig

if TYPE_CHECKING:
    from s2m_edge.train.teacher.network import TeacherNetwork

FORMAT = "s2m-edge-teacher"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class TeacherHeader:
    """What a teacher's file says of itself, without its weights.

    Attributes:
        path: the file.
        config: the layout.
        provenance: where the weights come from: data set, split, recipe, figures (JSON values).
        sha256: of the file.
    """

    path: Path
    config: TeacherConfig
    provenance: dict[str, Any]
    sha256: str


def save_teacher(path: Path, network: TeacherNetwork, provenance: Mapping[str, Any]) -> None:
    """Write a teacher in float32; beside first, then renamed.

    Raises:
        CheckpointError: a value is not finite.
        OutputError: the place cannot be written, or the disk is full.
    """
    import torch
    from safetensors.torch import save

    tensors: dict[str, torch.Tensor] = {}
    for name, tensor in network.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise CheckpointError(f"the weights {name} are not finite", "Train again.")
        tensors[name] = tensor.detach().cpu().contiguous(memory_format=torch.contiguous_format)
    metadata = {
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        "config": json.dumps(network.config.to_dict()),
        "provenance": json.dumps(dict(provenance)),
    }
    write_bytes(path, save(tensors, metadata=metadata))


def is_teacher(path: Path) -> bool:
    """Whether a file says of itself that it is a teacher's."""
    return path.is_file() and _metadata(path).get("format") == FORMAT


def read_teacher_header(path: Path) -> TeacherHeader:
    """Layout and provenance of a teacher's file. Reads no weights.

    Raises:
        CheckpointError: missing, truncated, or no teacher's.
    """
    if not path.is_file():
        raise CheckpointError(f"there is no teacher {path}", "Train one (docs/distillation.md), or check the path.")
    found = _metadata(path)
    if found.get("format") != FORMAT or found.get("format_version") != str(FORMAT_VERSION):
        raise CheckpointError(f"{path} is no teacher's file", "Train one with a recipe such as teacher-polyp.")
    try:
        config = TeacherConfig.from_dict(json.loads(found["config"]))
        return TeacherHeader(path, config, json.loads(found["provenance"]), file_sha256(path))
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged ({error})", "Copy the teacher again.") from None


def load_teacher(path: Path) -> TeacherNetwork:
    """A teacher with its weights, in evaluation mode, without gradients.

    Raises:
        CheckpointError: missing, truncated, or no teacher's.
        MissingBackendError: the package of its encoder is not installed.
    """
    from safetensors.torch import load_file

    from s2m_edge.train.teacher.network import TeacherNetwork

    header = read_teacher_header(path)
    tensors = load_file(path)
    require_held(lambda: TeacherNetwork(header.config), sum(tensor.numel() for tensor in tensors.values()), path)
    network = TeacherNetwork(header.config)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise CheckpointError(
            f"{path} does not fit its own configuration ({reason})", "Copy the teacher again."
        ) from None
    return network.eval().requires_grad_(False)


def _metadata(path: Path) -> dict[str, str]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"{path} cannot be read ({reason})", "It is truncated, or no safetensors file.") from None
