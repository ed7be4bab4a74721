"""When a study is complete, what is done once, and what a start makes of whatever the last run left."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from s2m_edge.apps.server.inbox import FullError, Inbox
from s2m_edge.apps.server.ledger import Entry, Ledger
from s2m_edge.apps.server.results import Outcome, publish, read_record
from s2m_edge.apps.server.settings import Settings
from s2m_edge.apps.server.studies import Studies
from s2m_edge.errors import InputError, OutputError
from server_support import parts

QUIET = 10.0


class House:
    """A server's studies without a network. Time passes when it is told to."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.out, self.now, self.said = folder, 0.0, []
        (folder / "inbox").mkdir(exist_ok=True)
        self.settings = Settings(quiet_seconds=QUIET, reserve=0, **options)
        self.inbox = Inbox(folder / "inbox", self.settings.room, 0)
        self.ledger = Ledger(folder / "ledger.sqlite")
        self.studies = Studies(self.inbox, self.ledger, folder, self.settings, self.said.append, lambda: self.now)
        self.studies.recover()

    def receive(self, study: str, instance: str, number: int = 0) -> None:
        given = parts(number)
        self.studies.admit(study, sum(map(len, given)))
        new = self.inbox.store(study, "1.1", instance, given)
        (self.studies.arrived if new else self.studies.came_again)(study)

    def wait(self, seconds: float = QUIET) -> None:
        self.now += seconds
        self.studies.close_quiet()

    def work(self, note: bool = True) -> str | None:
        """Do what waits for longest; without a note, the process ends before the ledger hears of it."""
        entry = self.studies.begin()
        if entry is None:
            return None
        with self.inbox.snapshot(entry.uid) as (source, contents):
            publish(count_files, source, contents, entry, self.out, {}, lambda: None)
        if note:
            self.studies.finish(entry, contents)
        return entry.folder

    def states(self, uid: str) -> list[tuple[int, str]]:
        found = self.ledger.in_state("received", "complete", "done", "sent", "unsent", "failed")
        return sorted((entry.version, entry.state) for entry in found if entry.uid == uid)

    def counts(self) -> dict[str, int]:
        return {path.parent.name: int(path.read_text()) for path in self.out.glob("[0-9]*/count.txt")}


def count_files(source: Path, stage: Path, heed: object) -> Outcome:
    path = stage / "count.txt"
    path.write_text(str(len(list(source.rglob("*.dcm")))))
    return Outcome((path,), ("one remark",))


def test_a_study_is_complete_when_nothing_came_for_a_while(tmp_path: Path):
    house = House(tmp_path)
    house.receive("1.5", "1.1")
    house.wait(QUIET - 1)
    house.receive("1.5", "1.2")
    house.wait(QUIET - 1)
    assert house.states("1.5") == [(1, "received")]
    house.studies.touch("1.5")  # more is on its way
    house.wait(QUIET - 1)
    assert house.work() is None
    house.wait(1)
    assert house.states("1.5") == [(1, "complete")]
    assert house.work() == "1.5"
    assert house.work() is None
    assert house.counts() == {"1.5": 2}
    record = read_record(tmp_path / "1.5")
    assert record is not None
    assert (record["instances"], record["files"], record["remarks"]) == (2, ["count.txt"], ["one remark"])
    assert "not a medical device" in record["notice"].lower()


def test_studies_are_done_in_the_order_in_which_they_were_complete(tmp_path: Path):
    house = House(tmp_path)
    for uid in ("1.9", "1.8", "1.7"):
        house.receive(uid, "1.1")
        house.wait()
    assert [house.work(), house.work(), house.work()] == ["1.9", "1.8", "1.7"]


def test_what_comes_while_a_study_waits_belongs_to_it(tmp_path: Path):
    house = House(tmp_path)
    house.receive("1.5", "1.1")
    house.wait()
    house.receive("1.5", "1.2")
    assert house.states("1.5") == [(1, "received")]
    house.wait()
    house.work()
    assert house.counts() == {"1.5": 2}


def test_what_comes_late_makes_a_new_version_of_all_and_leaves_the_old_one(tmp_path: Path):
    house = House(tmp_path)
    house.receive("1.5", "1.1")
    house.wait()
    house.work()
    house.receive("1.5", "1.2")
    house.wait()
    house.work()
    assert house.counts() == {"1.5": 1, "1.5-2": 2}
    assert house.states("1.5") == [(1, "done"), (2, "done")]


def test_what_comes_while_its_study_is_at_work_is_not_lost(tmp_path: Path):
    house = House(tmp_path)
    house.receive("1.5", "1.1")
    house.wait()
    entry = house.studies.begin()
    assert entry is not None
    with house.inbox.snapshot("1.5") as (source, contents):
        house.receive("1.5", "1.2")
        publish(count_files, source, contents, entry, tmp_path, {}, lambda: None)
    house.studies.finish(entry, contents)
    house.wait()
    assert house.work() == "1.5-2"
    assert house.counts() == {"1.5": 1, "1.5-2": 2}


def test_a_finished_study_that_comes_again_is_not_done_again(tmp_path: Path):
    house = House(tmp_path)
    house.receive("1.5", "1.1")
    house.wait()
    house.work()
    house.receive("1.5", "1.1")
    house.wait()
    assert house.work() is None
    assert house.states("1.5") == [(1, "done")]


def test_nor_is_one_whose_instances_were_removed_to_make_room(tmp_path: Path):
    size = sum(map(len, parts()))
    house = House(tmp_path, room=int(2.5 * size))
    for uid in ("1.5", "1.6"):
        house.receive(uid, "1.1")
        house.wait()
        house.work()
    house.receive("1.7", "1.1")
    assert house.inbox.studies() == ["1.6", "1.7"]
    assert "1.5" in house.said[0]
    house.wait()
    house.work()
    house.receive("1.5", "1.1")
    house.wait()
    assert house.work() is None
    assert house.states("1.5") == [(1, "done")]
    assert "nothing new" in house.said[-1]


def test_no_room_is_made_of_what_is_not_done(tmp_path: Path):
    size = sum(map(len, parts()))
    house = House(tmp_path, room=int(2.5 * size))
    house.receive("1.5", "1.1")
    house.receive("1.6", "1.1")
    house.wait()
    with pytest.raises(FullError):
        house.receive("1.7", "1.1")
    assert house.inbox.studies() == ["1.5", "1.6"]


def test_the_queue_is_a_bound_for_new_studies_alone(tmp_path: Path):
    house = House(tmp_path, queue=2)
    house.receive("1.5", "1.1")
    house.receive("1.6", "1.1")
    with pytest.raises(FullError, match="2 studies wait"):
        house.receive("1.7", "1.1")
    house.receive("1.6", "1.2")
    house.wait()
    house.work()
    house.receive("1.7", "1.1")


def test_a_failure_is_kept_said_and_begun_again_when_the_study_is_sent_again(tmp_path: Path):
    house = House(tmp_path)
    house.receive("1.5", "1.1")
    house.wait()
    entry = house.studies.begin()
    assert entry is not None
    house.studies.give_up(entry, "it is no picture")
    assert "FAILED, it is no picture" in house.said[-1]
    assert House(tmp_path).work() is None
    house.receive("1.5", "1.1")
    house.wait()
    assert house.work() == "1.5"
    assert house.states("1.5") == [(1, "done")]


def test_what_was_given_up_for_the_end_is_begun_by_the_next_start(tmp_path: Path):
    house = House(tmp_path)
    house.receive("1.5", "1.1")
    house.wait()
    entry = house.studies.begin()
    assert entry is not None
    house.studies.give_up(entry)
    assert house.studies.waiting() == 1
    assert House(tmp_path).work() == "1.5"


def test_a_start_after_a_kill_goes_on_from_each_state(tmp_path: Path):
    house = House(tmp_path)
    for uid in ("1.5", "1.6", "1.7"):
        house.receive(uid, "1.1")
        house.wait()
    house.work(note=False)  # 1.5: its result is in place, and the ledger does not know
    house.studies.begin()  # 1.5 is found done, 1.6 is at work
    house.receive("1.8", "1.1")
    house.inbox.store("1.9", "1.1", "1.1", parts())  # stored, and the ledger does not know
    again = House(tmp_path)
    assert [again.states(uid) for uid in ("1.5", "1.6", "1.7", "1.8", "1.9")] == [
        [(1, "done")],
        [(1, "complete")],
        [(1, "complete")],
        [(1, "received")],
        [(1, "received")],
    ]
    again.wait()
    assert sorted(str(again.work()) for _ in range(4)) == ["1.6", "1.7", "1.8", "1.9"]
    assert again.counts() == dict.fromkeys(("1.5", "1.6", "1.7", "1.8", "1.9"), 1)


def test_an_instance_that_was_stored_just_before_a_kill_is_not_overlooked(tmp_path: Path):
    """After the result was in place, and before the ledger knew of either."""
    house = House(tmp_path)
    house.receive("1.5", "1.1")
    house.wait()
    house.work(note=False)
    house.inbox.store("1.5", "1.1", "1.2", parts())
    again = House(tmp_path)
    again.wait()
    assert again.work() == "1.5-2"
    assert again.counts() == {"1.5": 1, "1.5-2": 2}


def test_a_study_that_ends_the_process_each_time_is_not_begun_for_ever(tmp_path: Path):
    House(tmp_path).receive("1.5", "1.1")
    for _ in range(3):
        house = House(tmp_path)
        house.wait()
        assert house.studies.begin() is not None
    last = House(tmp_path)
    assert last.studies.begin() is None
    assert "ended 3 times" in last.said[-1]
    assert last.states("1.5") == [(1, "failed")]


def test_a_study_whose_files_somebody_removed_fails(tmp_path: Path):
    house = House(tmp_path)
    house.receive("1.5", "1.1")
    house.inbox.remove("1.5")
    assert "not in the inbox any more" in House(tmp_path).said[-1]


def test_a_folder_that_is_somebody_elses_is_not_touched(tmp_path: Path):
    house = House(tmp_path)
    (tmp_path / "1.5").mkdir()
    (tmp_path / "1.5" / "thesis.txt").write_text("mine")
    house.receive("1.5", "1.1")
    house.wait()
    with pytest.raises(OutputError, match="is there"):
        house.work()
    assert (tmp_path / "1.5" / "thesis.txt").read_text() == "mine"


def test_the_ledger_is_of_one_version_and_one_kind(tmp_path: Path):
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"this is no database, however long it is" * 100)
    with pytest.raises(InputError, match="cannot be opened"):
        Ledger(path)
    path.unlink()
    Ledger(path).put(Entry("1.5"))
    assert Ledger(path).latest("1.5") is not None
    database = sqlite3.connect(path)
    database.execute("pragma user_version = 2")
    database.close()
    with pytest.raises(InputError, match="newer"):
        Ledger(path)
