"""Nothing half-written stays behind, and nothing that was there is lost."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from s2m_edge.errors import OutputError
from s2m_edge.files import output_error, publish_folder, require_writable, staged_folder, write_bytes


def test_a_published_folder_replaces_the_old_one(tmp_path: Path):
    final = tmp_path / "bundle"
    final.mkdir()
    (final / "old").write_text("old")
    with staged_folder(final) as stage:
        (stage / "new").write_text("new")
        assert (final / "old").exists()
        publish_folder(stage, final)
    assert [path.name for path in final.iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


@pytest.mark.parametrize("failure", [KeyboardInterrupt, RuntimeError])
def test_a_failure_leaves_the_old_folder_and_no_stage(tmp_path: Path, failure):
    final = tmp_path / "bundle"
    final.mkdir()
    (final / "old").write_text("old")
    with pytest.raises(failure), staged_folder(final) as stage:  # noqa: PT012 - the failure comes in the middle
        (stage / "half").write_text("half")
        raise failure
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
    assert (final / "old").exists()


def test_a_full_disk_is_named(tmp_path: Path):
    with pytest.raises(OutputError, match="disk is full"), staged_folder(tmp_path / "bundle"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert "disk is full" in str(output_error(tmp_path, OSError(errno.ENOSPC, "x")))
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot be written"):
        require_writable(tmp_path / "file" / "exports")
    with pytest.raises(OutputError, match="cannot be written"):
        write_bytes(tmp_path / "file" / "x.png", b"x")
    with pytest.raises(OutputError, match="cannot be written"), staged_folder(tmp_path / "file" / "bundle"):
        pass
