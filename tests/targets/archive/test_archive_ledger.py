"""The ledger: what it holds after a kill, and what it refuses."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from s2m_edge.errors import InputError, OutputError
from s2m_edge.targets.archive.ledger import LEDGER_FILE, open_ledger


def record(name: str, status: str = "done", **more: Any) -> dict[str, Any]:
    return {"name": name, "key": f"key of {name}", "status": status, **more}


def test_what_was_appended_is_there_again_and_the_last_line_of_a_name_counts(tmp_path: Path):
    with open_ledger(tmp_path) as ledger:
        ledger.append(record("a", "failed", error="no"))
        ledger.append(record("b"))
        ledger.append(record("a", figure=1))
        assert ledger.record("a")["figure"] == 1
        assert ledger.record("b")["status"] == "done"
    with open_ledger(tmp_path) as ledger:
        assert {name: entry.done for name, entry in ledger.entries.items()} == {"a": True, "b": True}
        assert ledger.record("a")["figure"] == 1
    assert len((tmp_path / LEDGER_FILE).read_bytes().splitlines()) == 4


@pytest.mark.parametrize("kept", range(1, 40, 7))
def test_a_line_that_was_torn_is_cut_off_and_the_next_follows_whole(kept: int, tmp_path: Path, capsys):
    path = tmp_path / LEDGER_FILE
    with open_ledger(tmp_path) as ledger:
        ledger.append(record("a"))
        whole = path.stat().st_size
        ledger.append(record("b"))
    os.truncate(path, whole + kept)
    with open_ledger(tmp_path) as ledger:
        assert list(ledger.entries) == ["a"]
        ledger.append(record("c"))
    assert "ended within a line" in capsys.readouterr().err
    with open_ledger(tmp_path) as ledger:
        assert list(ledger.entries) == ["a", "c"]
    assert capsys.readouterr().err == ""


def test_a_ledger_whose_first_line_was_torn_begins_anew(tmp_path: Path):
    with open_ledger(tmp_path):
        pass
    os.truncate(tmp_path / LEDGER_FILE, 30)
    with open_ledger(tmp_path) as ledger:
        ledger.append(record("a"))
    with open_ledger(tmp_path) as ledger:
        assert list(ledger.entries) == ["a"]


@pytest.mark.parametrize("content", [b"mine", b"mine\n", b'{"format": "other"}\n', b"[]\n", b"\xff\xfe\n"])
def test_another_file_of_that_name_is_left_alone(content: bytes, tmp_path: Path):
    path = tmp_path / LEDGER_FILE
    path.write_bytes(content)
    with pytest.raises(OutputError, match="no ledger of s2m-edge"), open_ledger(tmp_path):
        pass
    assert path.read_bytes() == content


def test_a_damaged_line_is_named(tmp_path: Path):
    with open_ledger(tmp_path) as ledger:
        ledger.append(record("a"))
        ledger.append(record("b"))
    path = tmp_path / LEDGER_FILE
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"{half\n" + lines[2])
    with pytest.raises(InputError, match="line 2, is damaged"), open_ledger(tmp_path):
        pass


def test_a_later_version_is_not_guessed_at(tmp_path: Path):
    with open_ledger(tmp_path):
        pass
    path = tmp_path / LEDGER_FILE
    path.write_bytes(path.read_bytes().replace(b'"version": 1', b'"version": 2'))
    with pytest.raises(InputError, match="version 2"), open_ledger(tmp_path):
        pass
