"""Writing beside and renaming, so that nothing half-written stays behind."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from s2m_edge.errors import OutputError


def output_error(path: Path, error: OSError) -> OutputError:
    """The one-line error for an output place that fails."""
    if error.errno == errno.ENOSPC:
        return OutputError(f"the disk is full while writing {path}", "Make room, or choose another place with --out.")
    reason = error.strerror or str(error)
    return OutputError(f"{path} cannot be written ({reason})", "Choose another place with --out.")


@contextmanager
def staged_folder(final: Path) -> Iterator[Path]:
    """A private folder beside `final`; the caller moves it with `publish_folder`. What is left of it is removed.

    Raises:
        OutputError: the place cannot be written.
    """
    stage: Path | None = None
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        stage = Path(tempfile.mkdtemp(dir=final.parent, prefix=f".{final.name}.partial-"))
        stage.chmod(0o755)
        yield stage
    except OSError as error:
        raise output_error(final, error) from None
    finally:
        if stage is not None:
            shutil.rmtree(stage, ignore_errors=True)


def publish_folder(stage: Path, final: Path) -> None:
    """Rename `stage` to `final`, replacing a folder that is there; the old one is removed only afterwards."""
    old: Path | None = None
    if final.exists():
        old = Path(tempfile.mkdtemp(dir=final.parent, prefix=f".{final.name}.old-"))
        final.rename(old / final.name)
    try:
        stage.rename(final)
    except BaseException:
        if old is not None:
            (old / final.name).rename(final)
        raise
    finally:
        if old is not None:
            shutil.rmtree(old, ignore_errors=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file beside and rename it.

    Raises:
        OutputError: the place cannot be written, or the disk is full.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise output_error(path, error) from None
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_json(path: Path, values: Any) -> None:
    """Write JSON values, indented, UTF-8; numbers that are not finite become strings (JSON has none)."""
    write_bytes(path, (json.dumps(_finite(values), indent=2, ensure_ascii=False) + "\n").encode())


def _finite(value: Any) -> Any:
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return str(value)
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    return value


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require_writable(folder: Path) -> None:
    """Raise OutputError now, before long work, unless `folder` can be made and written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise output_error(folder, error) from None
