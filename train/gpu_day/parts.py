"""Files of any size kept as parts of at most 15 MB under their SHA-256, with an index that is written last.

A state to resume from holds weights, their average and two moments per weight, all in float32 (about 85 MB): leaving
any of it out would make a resumed run another run, so it is split and not shrunk. Parts that did not change are not
written again; what the index names is complete, whenever the process was killed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from s2m_edge.errors import CheckpointError
from s2m_edge.files import file_sha256, write_bytes, write_json
from s2m_edge.text_files import read_text

PART_BYTES = 15_000_000
INDEX = "index.json"


def pack(source: Path, names: Sequence[str], kept: Path, part_bytes: int = PART_BYTES) -> None:
    """Keep those of `names` (paths in `source`) that are there, in the folder `kept`, in place of what it kept.

    Raises:
        OutputError: the place cannot be written.
    """
    index: dict[str, dict[str, object]] = {}
    wanted: set[str] = set()
    for name in names:
        path = source / name
        if not path.is_file():
            continue
        whole, parts = hashlib.sha256(), []
        with path.open("rb") as file:
            while content := file.read(part_bytes):
                whole.update(content)
                part = f"{hashlib.sha256(content).hexdigest()}.part"
                if not (kept / part).is_file():
                    write_bytes(kept / part, content)
                parts.append(part)
        index[name] = {"sha256": whole.hexdigest(), "parts": parts}
        wanted.update(parts)
    write_json(kept / INDEX, index)
    for path in kept.glob("*.part"):
        if path.name not in wanted:
            path.unlink(missing_ok=True)


def unpack(kept: Path, target: Path) -> bool:
    """Put back what `pack` kept; False where nothing was kept.

    Raises:
        CheckpointError: a part is missing or damaged.
    """
    if not (kept / INDEX).is_file():
        return False
    try:
        for name, entry in json.loads(read_text(kept / INDEX)).items():
            path = target / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                for part in entry["parts"]:
                    file.write((kept / part).read_bytes())
            if file_sha256(path) != entry["sha256"]:
                raise ValueError(f"{name} has another hash")
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(
            f"{kept} is damaged ({error})", "Copy the folder again, or delete it to train from the start."
        ) from None
    return True
