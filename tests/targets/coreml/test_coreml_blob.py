"""The blob parser: what it reads, and what it refuses."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from s2m_edge.errors import ContractError
from s2m_edge.targets.coreml.evaluator.blob import WeightFile

HALVES = np.arange(6, dtype="<f2") / 4
FLOATS = np.linspace(-1, 1, 40, dtype="<f4")
FIRST, SECOND = 64, 192


def _entry(code: int, size: int, start: int, sentinel: int = 0xDEADBEEF, padding: int = 0) -> bytes:
    return struct.pack("<IIQQQ", sentinel, code, size, start, padding).ljust(64, b"\0")


def _content(**changes: int) -> bytes:
    content = bytearray(struct.pack("<II", changes.get("count", 2), changes.get("version", 2)).ljust(64, b"\0"))
    content += _entry(1, HALVES.nbytes, 128) + HALVES.tobytes().ljust(64, b"\0")
    second = {"code": 2, "size": FLOATS.nbytes, "start": 256}
    second.update(
        {key: value for key, value in changes.items() if key in ("code", "size", "start", "sentinel", "padding")}
    )
    return bytes(content + _entry(**second) + FLOATS.tobytes())


def _open(folder: Path, content: bytes) -> WeightFile:
    path = folder / "weight.bin"
    path.write_bytes(content)
    return WeightFile(path)


def test_reads_every_blob(tmp_path):
    weights = _open(tmp_path, _content())
    assert len(weights) == 2
    np.testing.assert_array_equal(weights.read(FIRST, np.dtype("<f2"), (2, 3), "a"), HALVES.reshape(2, 3))
    np.testing.assert_array_equal(weights.read(SECOND, np.dtype("<f4"), (40,), "b"), FLOATS)


@pytest.mark.parametrize("length", [0, 63, 64, 100, 130, 200, 300, len(_content()) - 1])
def test_truncated_anywhere(tmp_path, length):
    with pytest.raises(ContractError, match="weight file"):
        _open(tmp_path, _content()[:length])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 1}, "storage version 1"),
        ({"count": 3}, "before blob 2 of 3"),
        ({"count": 1}, "after its last blob"),
        ({"sentinel": 0xDEADBEEE}, "sentinel 0xdeadbeee"),
        ({"code": 99}, "data type 99"),
        ({"size": 10**9}, "claims 256"),
        ({"start": 320}, "claims 320"),
        ({"padding": 4}, "4 padding bits"),
    ],
)
def test_damaged_entries(tmp_path, changes, message):
    with pytest.raises(ContractError, match=message):
        _open(tmp_path, _content(**changes))


@pytest.mark.parametrize(
    ("offset", "dtype", "shape", "message"),
    [
        (128, "<f2", (6,), "no blob at byte 128"),
        (FIRST, "<f4", (3,), "as float16"),
        (FIRST, "<f2", (7,), "needs 14"),
        (SECOND, "<f4", (5, 7), "needs 140"),
    ],
)
def test_constants_that_do_not_fit(tmp_path, offset, dtype, shape, message):
    weights = _open(tmp_path, _content())
    with pytest.raises(ContractError, match=message):
        weights.read(offset, np.dtype(dtype), shape, "gamma")


def test_missing_file(tmp_path):
    with pytest.raises(ContractError, match="cannot be read"):
        WeightFile(tmp_path / "weight.bin")
