"""Arrays that may be larger than memory: in a temporary file that has no name, and goes with the process."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from s2m_edge.files import output_error

IN_MEMORY = 2**26
"""Bytes that an array may take in memory itself."""
_BLOCK = bytes(2**22)


def scratch_array(shape: tuple[int, ...], dtype: Any = np.uint8) -> NDArray[Any]:
    """An array of zeros, in memory while it is small, otherwise in a temporary file.

    Raises:
        OutputError: the folder for temporary files has no room for it.
    """
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    if size <= IN_MEMORY:
        return np.zeros(shape, dtype)
    try:
        file = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the array
        reserve(file, size)
        return np.memmap(file, dtype, "r+", shape=shape)
    except OSError as error:
        raise scratch_error(error) from None


def reserve(file: IO[bytes], size: int) -> None:
    """Take the room for a file's bytes now: a page of a mapped file that finds none later ends the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
        return
    left = size
    while left:
        left -= file.write(_BLOCK[:left])
    file.flush()


def scratch_error(error: OSError) -> Exception:
    """The one-line error of a folder for temporary files that takes no more."""
    return output_error(Path(tempfile.gettempdir()), error, "name another folder for temporary files with TMPDIR")
