"""The inbox: whole files under safe names, the same one twice is one, and it has its bounds."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from s2m_edge.apps.server.inbox import ConflictError, FullError, Inbox
from s2m_edge.apps.server.uids import is_uid
from server_support import parts

GIGABYTE = 10**9


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("text", ["1.2.840.10008", "2.25.123", "0", "1.02.3", "1" * 64])
def test_a_uid_is_a_name(text: str):
    assert is_uid(text)


@pytest.mark.parametrize(
    "text", ["", ".", "..", "1.", ".1", "1..2", "../1", "1/2", "a", "1.2\n", "1.2 ", "1" * 65, "\u0661.\u0662", "1.2\0"]
)
def test_whatever_else_is_none(text: str):
    assert not is_uid(text)


def test_an_instance_is_a_file_under_its_uids(tmp_path: Path):
    inbox = Inbox(tmp_path, GIGABYTE, 0)
    given = parts()
    assert inbox.store("1.1", "1.2", "1.3", given)
    assert files(tmp_path) == ["1.1/1.2/1.3.dcm"]
    assert (tmp_path / "1.1" / "1.2" / "1.3.dcm").read_bytes() == b"".join(given)
    assert inbox.studies() == ["1.1"]
    assert inbox.used == sum(map(len, given)) == Inbox(tmp_path, GIGABYTE, 0).used


def test_the_same_instance_again_changes_nothing_whoever_wrote_its_head(tmp_path: Path):
    inbox = Inbox(tmp_path, GIGABYTE, 0)
    inbox.store("1.1", "1.2", "1.3", parts())
    before = inbox.contents("1.1"), inbox.used
    assert not inbox.store("1.1", "1.2", "1.3", parts(implementation="1.2.345678"))
    assert (inbox.contents("1.1"), inbox.used) == before


def test_another_content_under_the_same_uid_is_refused_and_the_first_kept(tmp_path: Path):
    inbox = Inbox(tmp_path, GIGABYTE, 0)
    inbox.store("1.1", "1.2", "1.3", parts(0))
    with pytest.raises(ConflictError):
        inbox.store("1.1", "1.2", "1.3", parts(1))
    assert (tmp_path / "1.1" / "1.2" / "1.3.dcm").read_bytes() == b"".join(parts(0))


def test_the_room_is_a_bound(tmp_path: Path):
    inbox = Inbox(tmp_path, 12_000, 0)
    inbox.store("1.1", "1.2", "1.3", parts())
    inbox.store("1.1", "1.2", "1.4", parts())
    with pytest.raises(FullError, match="are taken"):
        inbox.store("1.1", "1.2", "1.5", parts())
    inbox.remove("1.1")
    assert inbox.used == 0
    assert inbox.store("1.1", "1.2", "1.5", parts())


def test_some_of_the_disk_stays_free(tmp_path: Path):
    inbox = Inbox(tmp_path, GIGABYTE, 10**15)
    with pytest.raises(FullError, match="MB left"):
        inbox.store("1.1", "1.2", "1.3", parts())
    assert (files(tmp_path), inbox.used) == ([], 0)


def test_a_refusal_to_write_leaves_nothing(tmp_path: Path):
    inbox = Inbox(tmp_path, GIGABYTE, 0)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            inbox.store("1.1", "1.2", "1.3", parts())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (files(tmp_path), inbox.used, inbox.studies()) == ([], 0, [])
    assert inbox.store("1.1", "1.2", "1.3", parts())


def test_a_snapshot_does_not_change_with_what_arrives(tmp_path: Path):
    inbox = Inbox(tmp_path, GIGABYTE, 0)
    inbox.store("1.1", "1.2", "1.3", parts())
    with inbox.snapshot("1.1") as (folder, contents):
        inbox.store("1.1", "1.2", "1.4", parts())
        assert files(folder) == ["1.2/1.3.dcm"]
        assert contents.instances == 1
    assert not folder.exists()
    assert inbox.contents("1.1").instances == 2
    assert inbox.studies() == ["1.1"]


def test_what_a_killed_process_left_is_no_instance(tmp_path: Path):
    inbox = Inbox(tmp_path, GIGABYTE, 0)
    inbox.store("1.1", "1.2", "1.3", parts())
    (tmp_path / "1.1" / "1.2" / ".1.4.dcm.partial-00000000").write_bytes(b"half")
    (tmp_path / ".work" / "1.1").mkdir(parents=True)
    (tmp_path / ".work" / "1.1" / "1.3.dcm").write_bytes(b"half")
    again = Inbox(tmp_path, GIGABYTE, 0)
    assert again.contents("1.1") == inbox.contents("1.1")
    assert not (tmp_path / ".work").exists()
