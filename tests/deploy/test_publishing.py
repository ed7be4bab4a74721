"""Whatever kills a process that publishes, the old folder or the new one is there, and the next run cleans up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from s2m_edge import leftovers
from s2m_edge.exchange import exchange
from s2m_edge.files import FolderKind, require_writable, staged_folder
from s2m_edge.leftovers import DAY, LOCK, remove_unfinished, repair

ROOT = Path(__file__).parents[2]
KIND = FolderKind("a test's folder", lambda folder: ["content"])


def run_python(text: str, *words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", textwrap.dedent(text), *map(str, words)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)


KILLED = """
    import os, signal, sys
    from pathlib import Path
    from s2m_edge import files
    from s2m_edge.files import FolderKind, publish_folder, staged_folder

    place, moment = Path(sys.argv[1]), sys.argv[2]
    kind = FolderKind("a test's folder", lambda folder: ["content"])

    def die(*arguments):
        os.kill(os.getpid(), signal.SIGKILL)

    renames = []

    def rename(self, target, honest=Path.rename):
        renames.append(target)
        if len(renames) == 2:
            die()
        return honest(self, target)

    if moment == "between the two renames":
        files.exchange = lambda first, second: False
        Path.rename = rename
    with staged_folder(place, kind) as stage:
        (stage / "content").write_text("new")
        if moment == "while it writes":
            die()
        publish_folder(stage, place, kind)
        die()
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "exports" / "bundle"
    folder.mkdir(parents=True)
    (folder / "content").write_text("old")
    return folder


@pytest.mark.parametrize(
    ("moment", "content"),
    [("while it writes", "old"), ("between the two renames", "old"), ("when it is done", "new")],
)
def test_after_a_kill_the_next_run_finds_a_whole_folder_and_removes_the_rest(
    place: Path, moment: str, content: str, capsys
):
    done = run_python(KILLED, place, moment)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert len(list(place.parent.iterdir())) > 1 or not place.exists(), "the kill left something to clean up"
    require_writable(place.parent)
    assert [path.name for path in place.parent.iterdir()] == ["bundle"]
    assert (place / "content").read_text() == content
    said = " ".join(capsys.readouterr().err.split())
    assert "after an interruption in" in said
    assert ("put bundle back" in said) == (moment == "between the two renames")
    assert repair(place.parent) == ""


def test_without_the_repair_a_folder_that_is_exchanged_in_one_step_is_never_gone(place: Path):
    if not exchange(place, place):
        pytest.skip("this system cannot exchange two folders in one step")
    assert run_python(KILLED, place, "when it is done").returncode == -signal.SIGKILL
    assert (place / "content").read_text() == "new"


@pytest.mark.parametrize("system", ["", "--without-exchange"])
def test_of_many_kills_at_random_moments_none_loses_a_folder(system: str):
    command = [sys.executable, str(ROOT / "tools" / "stress_publishing.py"), "--times", "150", *system.split()]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 lost, 0 left over" in done.stdout


def test_the_folder_of_a_living_process_is_left_alone(place: Path):
    text = """
        import sys, time
        from pathlib import Path
        from s2m_edge.files import FolderKind, staged_folder

        with staged_folder(Path(sys.argv[1]), FolderKind("any", lambda folder: ["content"])) as stage:
            (stage / "content").write_text("half")
            print("staged", flush=True)
            sys.stdin.read()
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(text), str(place)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "staged\n"
    assert repair(place.parent) == ""
    (private,) = place.parent.glob(".bundle.partial-*")
    assert (private / "bundle" / "content").read_text() == "half"
    process.communicate("")
    assert [path.name for path in place.parent.iterdir()] == ["bundle"]


def left_by(place: Path, kind: str, owner: Mapping[str, object] | None, content: str = "old") -> Path:
    """A private folder as a process that is gone left it; without an owner, as versions without locks did."""
    private = place.with_name(f".{place.name}.{kind}-0123abcd")
    (private / place.name).mkdir(parents=True)
    (private / place.name / "content").write_text(content)
    if owner is not None:
        (private / LOCK).write_text(json.dumps(owner))
    return private


HERE, ELSEWHERE = leftovers._this_machine(), {"host": "another", "machine": "another", "start": "another"}


def test_a_folder_of_another_machine_is_left_alone_and_named_when_it_matters(place: Path):
    """A lock on a network drive may not be seen from here."""
    private = left_by(place, "partial", ELSEWHERE)
    assert repair(place.parent) == ""
    yesterday = time.time() - DAY - 60
    os.utime(private, (yesterday, yesterday))
    assert f"left {private.name} alone, which is of another machine" in repair(place.parent)
    (place / "content").unlink()
    place.rmdir()
    moved = left_by(place, "old", ELSEWHERE)
    assert f"left {moved.name} alone" in repair(place.parent)
    assert (moved / "bundle" / "content").is_file()
    assert (private / "bundle" / "content").is_file()


@pytest.mark.parametrize("owner", [None, HERE, {**HERE, "host": "a container that is gone", "machine": ""}])
def test_what_was_moved_aside_is_put_back(place: Path, owner):
    (place / "content").unlink()
    place.rmdir()
    left_by(place, "old", owner)
    assert "put bundle back" in repair(place.parent)
    assert (place / "content").read_text() == "old"
    assert [path.name for path in place.parent.iterdir()] == ["bundle"]


def test_a_machine_that_was_started_again_is_the_same(place: Path):
    left_by(place, "partial", {**HERE, "start": "before"}, "half")
    assert "removed an unfinished folder" in repair(place.parent)
    assert [path.name for path in place.parent.iterdir()] == ["bundle"]


def test_what_is_not_ours_is_left_alone(place: Path):
    """Hidden folders of other programs, and those of versions that knew no locks: nobody can tell whose they are."""
    theirs = [place.with_name(name) for name in (".git", ".bundle.partial", ".bundle.old-2024", ".x.partial-0123abcd")]
    for path in theirs:
        path.mkdir()
        (path / "work").write_text("x")
    assert repair(place.parent) == ""
    assert all((path / "work").is_file() for path in theirs)
    assert repair(place.parent / "nowhere") == ""


def test_an_empty_private_folder_is_removed_and_its_maker_makes_another(place: Path, monkeypatch):
    """Killed, or met by a repair, between making the folder and marking it."""
    place.with_name(".bundle.partial-0123abcd").mkdir()
    assert repair(place.parent) == ""
    assert [path.name for path in place.parent.iterdir()] == ["bundle"]
    honest, met = leftovers._locked, []

    def met_by_a_repair(folder: Path) -> int | None:
        if not met:
            met.append(folder)
            repair(folder.parent)
        return honest(folder)

    monkeypatch.setattr(leftovers, "_locked", met_by_a_repair)
    with staged_folder(place, KIND) as stage:
        assert stage.is_dir()
        assert stage.parent != met[0]
    assert [path.name for path in place.parent.iterdir()] == ["bundle"]


KILLED_FILE = """
    import os, signal, sys
    from pathlib import Path
    from s2m_edge.files import write_bytes

    Path.replace = lambda self, target: os.kill(os.getpid(), int(sys.argv[2]))
    write_bytes(Path(sys.argv[1]), b"new")
"""
LONG_AGO = (0.0, 0.0)
NAMES = ["mask.png", "m" * 250 + ".png"]


@pytest.fixture(params=NAMES, ids=["short", "long"])
def unfinished(request, tmp_path: Path) -> Path:
    """What a killed process left of a file, from some time ago."""
    assert run_python(KILLED_FILE, tmp_path / request.param, int(signal.SIGKILL)).returncode == -signal.SIGKILL
    (found,) = tmp_path.iterdir()
    assert found.name.startswith(".")
    os.utime(found, LONG_AGO)
    return found


def test_an_unfinished_file_is_removed_by_the_next_run(unfinished: Path, capsys):
    require_writable(unfinished.parent)
    assert list(unfinished.parent.iterdir()) == []
    assert "removed an unfinished file" in capsys.readouterr().err


def test_a_file_that_is_being_written_stays(unfinished: Path):
    with unfinished.open("r+b") as file:
        leftovers.mark_ours(file.fileno())
        assert repair(unfinished.parent) == ""
        assert unfinished.exists()
    os.utime(unfinished)  # so new that its lock may still come
    assert repair(unfinished.parent) == ""
    assert unfinished.exists()


def test_a_file_of_another_machine_and_what_only_looks_alike_stay(unfinished: Path):
    number = leftovers._machine_number()
    other = "000" if number != "000" else "111"
    elsewhere = unfinished.rename(unfinished.with_name(f".a.png.partial-{other}12345"))
    alike = [unfinished.with_name(name) for name in (f"a.partial-{number}12345", f".a.partial-{number}1234")]
    for path in alike:
        path.write_bytes(b"somebody's")
    for path in (elsewhere, *alike):
        os.utime(path, LONG_AGO)
    assert repair(unfinished.parent) == ""
    assert all(path.exists() for path in (elsewhere, *alike))


def of_another_machine(folder: Path, name: str) -> Path:
    """A private file of a machine that was lost, as another one sees it."""
    number = "000" if leftovers._machine_number() != "000" else "111"
    path = folder / f".{name}.partial-{number}12345"
    path.write_bytes(b"half")
    return path


def test_where_the_work_has_ended_what_a_lost_machine_had_begun_is_removed(tmp_path: Path):
    file = of_another_machine(tmp_path, "a.png")
    folder = tmp_path / ".a.partial-0123abcd"
    (folder / "new").mkdir(parents=True)
    (folder / LOCK).write_text(json.dumps({**ELSEWHERE, "process": 1}))
    unmarked = tmp_path / ".a.b.partial-0123abcd"
    unmarked.mkdir()
    kept = [of_another_machine(tmp_path, "b.png"), tmp_path / ".a.png.old-0123abcd", tmp_path / "a.png"]
    kept[1].mkdir()
    kept[2].write_bytes(b"whole")
    assert remove_unfinished(tmp_path, lambda name: name.startswith("a")) == 3
    assert not any(path.exists() for path in (file, folder, unmarked))
    assert sorted(tmp_path.iterdir()) == sorted(kept)


def test_what_a_living_process_writes_stays_even_where_the_work_has_ended(tmp_path: Path):
    path = of_another_machine(tmp_path, "a.png")
    with path.open("r+b") as file:
        leftovers.mark_ours(file.fileno())
        assert remove_unfinished(tmp_path, lambda name: True) == 0
        assert path.exists()
    with leftovers.private_folder(tmp_path / "a", "partial") as folder:
        assert remove_unfinished(tmp_path, lambda name: True) == 1
        assert not path.exists()
        assert folder.exists()


def test_of_a_name_too_long_to_tell_this_machine_s_are_removed(unfinished: Path):
    assert remove_unfinished(unfinished.parent, lambda name: False) == 1
    assert list(unfinished.parent.iterdir()) == []
