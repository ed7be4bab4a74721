"""Probabilities of what was segmented, kept for the threshold: in memory while they are few, then in a temporary file.

They are kept as the network gave them: a mask at the contract's threshold has to be the one that `predict` writes, and
fewer bits would move its edge.
"""

from __future__ import annotations

import tempfile
import threading
from dataclasses import dataclass, replace
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from s2m_edge.apps.desktop.engine import Segmentation
from s2m_edge.imaging.scratch import IN_MEMORY, scratch_error


@dataclass(frozen=True, eq=False)
class Filed:
    """An array in a file, which lives as long as one of its arrays does; `np.asarray` reads it."""

    file: IO[bytes]
    lock: threading.Lock
    offset: int
    shape: tuple[int, ...]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[np.float32]:
        with self.lock:
            self.file.seek(self.offset)
            raw = self.file.read(4 * int(np.prod(self.shape, dtype=np.int64)))
        found = np.frombuffer(raw, np.float32).reshape(self.shape)
        return found if dtype is None else found.astype(dtype, copy=False)


class Keeper:
    """Keeps segmentations. What nobody holds any more is gone: memory at once, the file with its last array.

    Args:
        in_memory: bytes of probabilities that memory may take, of all pictures together.
    """

    def __init__(self, in_memory: int = IN_MEMORY) -> None:
        self._left = in_memory
        self._file: IO[bytes] | None = None
        self._lock = threading.Lock()

    def keep(self, found: Segmentation) -> Segmentation:
        """The same segmentation, its probabilities where they may stay.

        Raises:
            OutputError: the folder for temporary files has no room for it.
        """
        values = np.ascontiguousarray(found.probabilities, np.float32)
        if values.nbytes <= self._left:
            self._left -= values.nbytes
            return replace(found, probabilities=values)
        try:
            with self._lock:
                if self._file is None:
                    self._file = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as its arrays
                offset = self._file.seek(0, 2)
                self._file.write(values.tobytes())
                self._file.flush()
        except OSError as error:
            raise scratch_error(error) from None
        return replace(found, probabilities=Filed(self._file, self._lock, offset, values.shape))
