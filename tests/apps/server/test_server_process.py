"""A server as a process: killed at any moment it loses nothing and does nothing twice; ended, it says what is left."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Any

import pydicom
import pytest

from server_support import archive, begun, free_port, results, send, server_process, slices, until

pytest.importorskip("pynetdicom", reason="pynetdicom is not installed; the extra serve has it")
QUICK = {"quiet_seconds": 0.3}
"""For studies of one instance. A busy machine may take longer than that between two, and the second makes another
version of the study, as it should."""

UNHURRIED = {"quiet_seconds": 4.0}
SUCCESS = 0


def whole_folders(out: Path) -> None:
    """No result is half there, and nothing that was being written has another name."""
    for path in out.glob("[0-9]*"):
        assert {entry.name for entry in path.iterdir()} == {"mask-seg.dcm", "count.txt", "study.json"}


def test_a_study_goes_in_and_its_result_comes_out(tmp_path: Path):
    given = slices(3)
    uid = given[0].StudyInstanceUID
    with server_process(tmp_path, **UNHURRIED) as server:
        assert send(server.port, given) == [SUCCESS] * 3
        line = until(lambda: server.said(f"study {uid}:"), "the study's line")
        assert "3 instances, 2 files in" in line
        assert server.said("Research use only")
        assert server.end(signal.SIGINT) == 0
        assert server.said("nothing is left to do")
    assert results(tmp_path) == {uid: 3}
    assert all("Nobody" not in line for line in server.lines), "a patient's name"
    assert not [path for path in tmp_path.rglob("*") if "Nobody" in path.name]
    assert (tmp_path / "inbox").stat().st_mode & 0o077 == 0


def test_killed_at_work_every_study_is_done_exactly_once(tmp_path: Path):
    studies = [slices(1) for _ in range(5)]
    uids = [given[0].StudyInstanceUID for given in studies]
    with server_process(tmp_path, seconds=0.4, quiet_seconds=0.5) as server:
        for given in studies:
            assert send(server.port, given) == [SUCCESS]
        until(lambda: len(results(tmp_path)) >= 1, "a first result")
        server.end(signal.SIGKILL)
    first = results(tmp_path)
    with server_process(tmp_path, seconds=0.4, quiet_seconds=0.5) as server:
        until(lambda: len(results(tmp_path)) >= len(first) + 1, "another result")
        server.end(signal.SIGKILL)
    second = results(tmp_path)
    whole_folders(tmp_path)
    with server_process(tmp_path, quiet_seconds=0.5) as server:
        until(lambda: len(results(tmp_path)) == 5, "all results")
        assert server.end() == 0
    assert results(tmp_path) == dict.fromkeys(uids, 1)
    assert all(begun(tmp_path).count(uid) == 1 for uid in first), "what was done is not begun again"
    assert all(begun(tmp_path).count(uid) <= 2 for uid in second)
    whole_folders(tmp_path)


def test_killed_while_receiving_what_was_confirmed_is_there_and_the_rest_can_be_sent_again(tmp_path: Path):
    given = slices(40)
    told: list[int | None] = []
    with server_process(tmp_path, quiet_seconds=600) as server:
        sender = threading.Thread(
            target=lambda port=server.port: told.extend(send(port, given, timeout=3)), daemon=True
        )
        sender.start()
        until(lambda: len(list(tmp_path.glob("inbox/*/*/*.dcm"))) >= 10, "some instances")
        server.end(signal.SIGKILL)
        sender.join(180)
    confirmed = {each.SOPInstanceUID for each, status in zip(given, told, strict=True) if status == SUCCESS}
    assert 0 < len(confirmed) < 40
    found = {path.stem: pydicom.dcmread(path) for path in tmp_path.glob("inbox/*/*/*.dcm")}
    assert confirmed <= set(found)
    assert all(each.pixel_array.shape == (64, 64) for each in found.values())
    with server_process(tmp_path, quiet_seconds=600) as server:
        assert server.said("1 studies of an earlier run") or server.port
        assert send(server.port, given) == [SUCCESS] * 40
        assert server.end() == 143
        assert server.said("left for the next start: 1 studies")
    with server_process(tmp_path, **QUICK) as server:
        until(lambda: results(tmp_path), "the result")
        assert server.end() == 0
    assert results(tmp_path) == {given[0].StudyInstanceUID: 40}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ended_at_work_the_study_is_given_up_whole_and_begun_by_the_next_start(
    number: signal.Signals, code: int, tmp_path: Path
):
    given = slices(1)
    with server_process(tmp_path, seconds=600, **QUICK) as server:
        send(server.port, given)
        until(lambda: begun(tmp_path), "its work")
        assert server.end(number) == code
        assert not server.said("error:")
    assert results(tmp_path) == {}
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []
    with server_process(tmp_path, **QUICK) as server:
        until(lambda: results(tmp_path), "the result")
        assert server.end(number) == 0


def test_two_servers_do_not_share_a_folder(tmp_path: Path):
    with server_process(tmp_path) as first:
        assert first.port
        with server_process(tmp_path) as second:
            assert second.process.wait(180) == 2
            until(lambda: second.said("error:", "another server works in"), "why")


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_only_another_address_than_loopback_is_warned_of(host: str, tmp_path: Path):
    with server_process(tmp_path, host=host) as server:
        assert server.port
        assert bool(server.said("warning:", "can be reached from other machines")) == (host == "0.0.0.0")


def test_results_are_sent_to_dcmtk(tmp_path: Path):
    port = free_port()
    destination: dict[str, Any] = {"send_to": f"ARCHIVE@127.0.0.1:{port}", "send_pause": 0.2}
    with archive(tmp_path / "archive", port), server_process(tmp_path / "out", **destination, **QUICK) as server:
        send(server.port, slices(1))
        until(lambda: server.said("1 DICOM files sent to ARCHIVE@127.0.0.1"), "sent")
        assert server.end() == 0
    sent = [pydicom.dcmread(path) for path in (tmp_path / "archive").iterdir()]
    ours = pydicom.dcmread(next((tmp_path / "out").glob("[0-9]*/*.dcm")))
    assert [each.SOPInstanceUID for each in sent] == [ours.SOPInstanceUID]
    assert sent[0].PixelData == ours.PixelData


def test_a_destination_that_is_away_is_tried_a_few_times_and_again_by_the_next_start(tmp_path: Path):
    port, out = free_port(), tmp_path / "out"
    destination: dict[str, Any] = {"send_to": f"ARCHIVE@127.0.0.1:{port}", "send_pause": 0.1, **QUICK}
    with server_process(out, **destination, send_attempts=3) as server:
        send(server.port, slices(1))
        assert "nobody answers there" in until(lambda: server.said("NOT SENT"), "kept")
        assert server.end() == 143
        assert server.said("1 results to be sent")
    assert len(results(out)) == 1
    with archive(tmp_path / "archive", port):
        with server_process(out, **destination, send_attempts=100) as server:
            until(lambda: server.said("1 DICOM files sent"), "sent")
            assert server.end() == 0
        with server_process(out, **destination) as server:
            assert server.port
            assert server.end() == 0
    assert len(list((tmp_path / "archive").iterdir())) == 1
    assert len(begun(out)) == 1


def test_a_destination_that_does_not_take_results_is_named(tmp_path: Path):
    """Our own door as a destination takes pictures alone, from those it allows."""
    with server_process(tmp_path / "other", allow=["SOMEBODY"]) as other:
        destination: dict[str, Any] = {"send_to": f"S2MEDGE@127.0.0.1:{other.port}", "send_pause": 0.1}
        with server_process(tmp_path / "out", **destination, send_attempts=2, **QUICK) as server:
            send(server.port, slices(1))
            assert "it refused the association" in until(lambda: server.said("NOT SENT"), "kept")
            assert server.end(signal.SIGINT) == 130
