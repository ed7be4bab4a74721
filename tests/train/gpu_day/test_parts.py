"""Files kept in parts: small enough, complete, and never half of one state and half of another."""

from __future__ import annotations

from pathlib import Path

import pytest

from s2m_edge.errors import CheckpointError
from s2m_edge.train.gpu_day.parts import PART_BYTES, pack, unpack


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    (folder / "phase-1").mkdir(parents=True)
    (folder / "phase-1/last.ckpt").write_bytes(bytes(range(25)))
    (folder / "run.json").write_bytes(b"{}")
    return folder


def test_parts_are_smaller_than_sixteen_megabytes():
    assert PART_BYTES < 16_000_000


def test_what_is_kept_comes_back_as_it_was(run, tmp_path):
    pack(run, ("run.json", "phase-1/last.ckpt", "absent"), tmp_path / "kept", part_bytes=10)
    assert sorted(path.stat().st_size for path in (tmp_path / "kept").glob("*.part")) == [2, 5, 10, 10]
    assert unpack(tmp_path / "kept", tmp_path / "back")
    assert (tmp_path / "back/phase-1/last.ckpt").read_bytes() == bytes(range(25))
    assert (tmp_path / "back/run.json").read_bytes() == b"{}"
    assert not (tmp_path / "back/absent").exists()


def test_a_newer_state_takes_the_place_of_the_older_and_leaves_what_did_not_change(run, tmp_path):
    kept = tmp_path / "kept"
    pack(run, ("phase-1/last.ckpt",), kept, part_bytes=10)
    before = {path.name: path.stat().st_mtime_ns for path in kept.glob("*.part")}
    (run / "phase-1/last.ckpt").write_bytes(bytes(range(10)) + b"new")
    pack(run, ("phase-1/last.ckpt",), kept, part_bytes=10)
    after = {path.name: path.stat().st_mtime_ns for path in kept.glob("*.part")}
    assert len(after) == 2
    assert len(before.items() & after.items()) == 1
    assert unpack(kept, tmp_path / "back")
    assert (tmp_path / "back/phase-1/last.ckpt").read_bytes() == bytes(range(10)) + b"new"


@pytest.mark.parametrize("harm", [lambda part: part.unlink(), lambda part: part.write_bytes(b"other")])
def test_a_part_that_is_missing_or_changed_is_refused(run, tmp_path, harm):
    kept = tmp_path / "kept"
    pack(run, ("phase-1/last.ckpt",), kept)
    harm(next(kept.glob("*.part")))
    with pytest.raises(CheckpointError, match="is damaged"):
        unpack(kept, tmp_path / "back")


def test_where_nothing_was_kept_nothing_comes_back(tmp_path):
    assert not unpack(tmp_path / "kept", tmp_path / "back")
