"""weight.bin: the blob file that an ML Program's constants point into (storage format 2).

    header    64 bytes: uint32 number of blobs, uint32 version 2, the rest zero
    per blob  64 bytes: uint32 0xDEADBEEF, uint32 data type, uint64 bytes, uint64 offset of the data, uint64 padding
              in bits, the rest zero; then the data, everything aligned to 64 bytes, little-endian

Source: coremltools, mlmodel/src/MILBlob/Blob/StorageFormat.hpp.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from s2m_edge.errors import ContractError

SENTINEL = 0xDEADBEEF
ALIGNMENT = 64
VERSION = 2
BLOB_TYPES: dict[int, np.dtype] = {1: np.dtype("<f2"), 2: np.dtype("<f4"), 3: np.dtype("u1"), 4: np.dtype("i1")}
_REMEDY = "The package is damaged; export it again."


@dataclass(frozen=True)
class Blob:
    """One entry: the data type, where its bytes start in the file, and how many there are."""

    dtype: np.dtype
    start: int
    size: int


class WeightFile:
    """A weight.bin, checked from end to end when it is opened.

    Args:
        path: the file.

    Raises:
        ContractError: it is missing, truncated, or not in this format.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._bytes = path.read_bytes()
        except OSError as error:
            raise ContractError(f"the weight file {path} cannot be read ({error.strerror})", _REMEDY) from None
        # The whole chain is walked, so that a truncated file is found even where no constant points at its end.
        self._blobs = self._walk()

    def __len__(self) -> int:
        return len(self._blobs)

    def _walk(self) -> dict[int, Blob]:
        if len(self._bytes) < ALIGNMENT:
            raise self._damaged(f"is {len(self._bytes)} bytes long, shorter than its header")
        count, version = struct.unpack_from("<II", self._bytes)
        if version != VERSION:
            raise self._damaged(f"has storage version {version}, not {VERSION}")
        blobs: dict[int, Blob] = {}
        position = ALIGNMENT
        for number in range(count):
            blob = self._entry(position, f"blob {number} of {count}")
            blobs[position] = blob
            position = -(-(blob.start + blob.size) // ALIGNMENT) * ALIGNMENT
        if len(self._bytes) > position:
            raise self._damaged(f"has {len(self._bytes) - position} bytes after its last blob")
        return blobs

    def _entry(self, position: int, name: str) -> Blob:
        if position + ALIGNMENT > len(self._bytes):
            raise self._damaged(f"ends at byte {len(self._bytes)}, before {name}")
        sentinel, code, size, start, padding = struct.unpack_from("<IIQQQ", self._bytes, position)
        if sentinel != SENTINEL:
            raise self._damaged(f"has no blob at byte {position} ({name}: sentinel {sentinel:#010x})")
        if code not in BLOB_TYPES:
            raise self._damaged(f"has data type {code} in {name}; the evaluator reads {sorted(BLOB_TYPES)}")
        if padding:
            raise self._damaged(f"has {padding} padding bits in {name}, which none of its data types has")
        if start != position + ALIGNMENT or start + size > len(self._bytes):
            raise self._damaged(f"has {len(self._bytes)} bytes, and {name} claims {start} to {start + size}")
        return Blob(BLOB_TYPES[code], start, size)

    def _damaged(self, what: str) -> ContractError:
        return ContractError(f"the weight file {self.path} {what}", _REMEDY)

    def read(self, offset: int, dtype: np.dtype, shape: tuple[int, ...], name: str) -> NDArray:
        """The constant whose blob starts at byte `offset`, checked against what the program declares.

        Args:
            offset: of the blob's 64-byte entry.
            dtype, shape: declared by the program.
            name: of the constant, for messages.

        Raises:
            ContractError: there is no blob, or it has another data type or size.
        """
        blob = self._blobs.get(offset)
        if blob is None:
            raise self._damaged(f"has no blob at byte {offset}, where the constant {name} should be")
        if blob.dtype != dtype:
            raise self._damaged(f"holds {name} as {blob.dtype.name}; the program declares {dtype.name}")
        expected = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        if blob.size != expected:
            raise self._damaged(f"holds {blob.size} bytes of {name}; its shape {shape} needs {expected}")
        count = expected // dtype.itemsize
        return np.frombuffer(self._bytes, dtype=dtype, count=count, offset=blob.start).reshape(shape).copy()
