"""Volumes whose slices are read one at a time, in any plane: files are mapped, compressed ones unpacked once before."""

from __future__ import annotations

import gzip
import tempfile
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2m_edge.errors import ImageError
from s2m_edge.imaging.scratch import reserve, scratch_error
from s2m_edge.imaging.volume import Volume

_BLOCK = 2**22


@dataclass(frozen=True)
class _Mapped:
    """In place of nibabel's proxy, which reads the whole file for each slice across its first axis."""

    raw: NDArray[Any]
    slope: float
    inter: float

    @property
    def shape(self) -> tuple[int, ...]:
        return self.raw.shape

    @property
    def ndim(self) -> int:
        return self.raw.ndim

    def __getitem__(self, where: Any) -> NDArray[Any]:
        from nibabel.volumeutils import apply_read_scaling

        return apply_read_scaling(np.asarray(self.raw[where]), np.float64(self.slope), np.float64(self.inter))


def mapped(volume: Volume) -> Volume:
    """The same volume, its stored values in a mapped file: a temporary one where they were compressed, for otherwise
    each slice would unpack all that lies before it.

    Raises:
        ImageError: the file is cut off.
        OutputError: the folder for temporary files has no room.
    """
    proxy = volume.image.dataobj
    if not hasattr(proxy, "offset"):
        return volume
    name = str(volume.image.file_map["image"].filename)
    size = int(np.prod(proxy.shape, dtype=np.int64)) * proxy.dtype.itemsize
    file, offset = (_unpacked(volume, name, size), 0) if name.lower().endswith(".gz") else (name, proxy.offset)
    try:
        raw = np.memmap(file, proxy.dtype, "r", offset, proxy.shape, proxy.order)
    except ValueError:
        raise ImageError(f"{volume.path} is cut off", "Copy the volume again.") from None
    held: Any = _Mapped(raw, proxy.slope, proxy.inter)
    return replace(volume, image=type(volume.image)(held, volume.affine, volume.image.header))


def _unpacked(volume: Volume, name: str, size: int) -> Any:
    """A file without a name, with the stored values of a compressed one."""
    try:
        file = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the volume
        reserve(file, size)
        file.seek(0)
    except OSError as error:
        raise scratch_error(error) from None
    left = size
    with gzip.open(name, "rb") as packed:
        packed.seek(volume.image.dataobj.offset)
        while left:
            block = packed.read(min(_BLOCK, left))
            if not block:
                raise ImageError(f"{volume.path} is cut off", "Copy the volume again.")
            left -= file.write(block)
    file.flush()
    return file
