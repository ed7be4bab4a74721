"""Large arrays lie in a file that has its room from the start."""

from __future__ import annotations

import errno
import tempfile

import numpy as np
import pytest

from s2m_edge.errors import OutputError
from s2m_edge.imaging import scratch


def test_small_arrays_lie_in_memory_and_large_ones_in_a_file(monkeypatch: pytest.MonkeyPatch):
    assert type(scratch.scratch_array((4, 5))) is np.ndarray
    monkeypatch.setattr(scratch, "IN_MEMORY", 100)
    found = scratch.scratch_array((3, 50, 2), np.int32)
    assert isinstance(found, np.memmap)
    assert (found.shape, found.dtype, int(found.any())) == ((3, 50, 2), np.int32, 0)
    found[2, 49, 1] = 7
    assert found[2, 49, 1] == 7


def test_a_full_folder_for_temporary_files_is_said_before_anything_is_written(monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(scratch, "IN_MEMORY", 100)
    monkeypatch.setattr(scratch, "reserve", full)
    with pytest.raises(OutputError, match=r"disk is full while writing .*TMPDIR"):
        scratch.scratch_array((1000,))


@pytest.mark.parametrize("system", [True, False], ids=["asked for", "written"])
def test_the_room_is_taken_now(monkeypatch: pytest.MonkeyPatch, system: bool):
    if not system:
        monkeypatch.delattr("os.posix_fallocate", raising=False)
        monkeypatch.setattr(scratch, "_BLOCK", bytes(64))
    with tempfile.TemporaryFile() as file:
        scratch.reserve(file, 1000)
        file.seek(0, 2)
        assert file.tell() == 1000
