"""`predict --manifest`: each picture once, whatever happens, and nothing of anybody's is lost."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from command_line import Run
from s2m_edge.files import alone
from support import assert_one_line_error

ROOT = Path(__file__).parents[3]
PATIENCE = 180.0
Contents = Callable[[Path], dict[str, bytes]]


def lines_of(out: Path) -> list[dict[str, Any]]:
    """The ledger's lines of items, in their order."""
    written = (out / "ledger.jsonl").read_text().splitlines()[1:]
    return [values for line in written if "name" in (values := json.loads(line))]


def table_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def totals(run: Run, bundle: Path, manifest: Path, out: Path, *options: object) -> dict[str, Any]:
    """Of a call that ends well."""
    code, printed, err = run("predict", bundle, "--manifest", manifest, "--out", out, "--json", *options)
    assert code == 0, err
    return json.loads(printed)


def counts(values: dict[str, Any]) -> tuple[int, int, int]:
    return values["done"], values["skipped"], values["failed"]


def test_every_picture_gets_its_files_and_a_row(run: Run, small_bundle: Path, listed: Path, tmp_path: Path):
    out = tmp_path / "out"
    assert counts(totals(run, small_bundle, listed, out)) == (4, 0, 0)
    rows = table_of(out / "results.csv")
    assert len(rows) == 4
    for row in rows:
        mask_file, overlay_file = row["files"].split("; ")
        with Image.open(out / mask_file) as mask:
            pixels = np.asarray(mask)
        assert pixels.shape == (int(row["height"]), int(row["width"]))
        assert int((pixels > 0).sum()) == int(row["area_pixels"])
        assert (out / overlay_file).is_file()
        assert row["notice"] == "Research use only. Not a medical device."
    assert table_of(out / "failures.csv") == []


def test_masks_are_those_of_predict_without_a_manifest(run: Run, small_bundle: Path, listed: Path, tmp_path: Path):
    totals(run, small_bundle, listed, tmp_path / "out", "--threads", 1)
    code, _, err = run("predict", small_bundle, tmp_path / "pictures", "--out", tmp_path / "plain", "--threads", 1)
    assert code == 0, err
    for row in table_of(tmp_path / "out" / "results.csv"):
        mask = row["files"].split("; ")[0]
        name = Path(mask).name
        with Image.open(tmp_path / "out" / mask) as one, Image.open(tmp_path / "plain" / name) as other:
            found, expected = np.asarray(one), np.asarray(other)
        # numpy's sums depend on how many threads it has here, and a pixel on the threshold may turn
        assert (found == expected).mean() > 0.999


def test_a_second_call_does_what_is_new_and_what_changed_and_no_more(
    run: Run, small_bundle: Path, listed: Path, pictures: list[Path], tmp_path: Path, contents: Contents
):
    out, text = tmp_path / "out", listed.read_text()
    listed.write_text("\n".join(text.splitlines()[:-1]) + "\n")
    assert counts(totals(run, small_bundle, listed, out)) == (3, 0, 0)
    before = contents(out)
    assert counts(totals(run, small_bundle, listed, out)) == (0, 3, 0)
    assert contents(out) == before
    listed.write_text(text)
    with Image.open(pictures[0]) as picture:
        picture.rotate(180).save(pictures[0])
    assert counts(totals(run, small_bundle, listed, out)) == (2, 2, 0)
    after = contents(out)
    changed = {name for name, content in before.items() if after[name] != content}
    stem = pictures[0].stem
    assert changed == {f"pictures/{stem}-mask.png", f"pictures/{stem}-overlay.png", "results.csv"}
    assert counts(totals(run, small_bundle, listed, out)) == (0, 4, 0)


def test_another_threshold_is_other_work_and_a_lost_mask_is_made_again(
    run: Run, small_bundle: Path, listed: Path, pictures: list[Path], tmp_path: Path
):
    out = tmp_path / "out"
    totals(run, small_bundle, listed, out)
    (out / "pictures" / f"{pictures[2].stem}-mask.png").unlink()
    assert counts(totals(run, small_bundle, listed, out)) == (1, 3, 0)
    assert counts(totals(run, small_bundle, listed, out, "--threshold", 0.7)) == (4, 0, 0)


def test_what_fails_does_not_stop_the_rest_and_is_tried_again(
    run: Run, small_bundle: Path, listed: Path, pictures: list[Path], tmp_path: Path
):
    out, whole = tmp_path / "out", pictures[1].read_bytes()
    pictures[0].unlink()
    pictures[1].write_bytes(b"no picture")
    arguments = ("predict", small_bundle, "--manifest", listed, "--out", out)
    code, printed, err = run(*arguments)
    assert_one_line_error(code, printed, err, "2 of 4 pictures failed", "failures.csv")
    assert "2 done, 0 skipped (done before), 2 failed" in printed
    failures = table_of(out / "failures.csv")
    assert [Path(row["path"]).name for row in failures] == [pictures[0].name, pictures[1].name]
    assert "No such file" in failures[0]["error"]
    pictures[1].write_bytes(whole)
    assert_one_line_error(*run(*arguments), "1 of 4 pictures failed")
    statuses = Counter((record["name"], record["status"]) for record in lines_of(out))
    assert statuses[f"pictures/{pictures[0].stem}", "failed"] == 2
    assert statuses[f"pictures/{pictures[1].stem}", "failed"] == 1
    assert sum(count for (_, status), count in statuses.items() if status == "done") == 3


def test_a_picture_that_failed_after_a_change_may_still_replace_what_was_written_for_it(
    run: Run, small_bundle: Path, listed: Path, pictures: list[Path], tmp_path: Path
):
    out = tmp_path / "out"
    totals(run, small_bundle, listed, out)
    with Image.open(pictures[0]) as picture:
        turned = picture.rotate(180)
    pictures[0].write_bytes(b"half copied")
    assert run("predict", small_bundle, "--manifest", listed, "--out", out)[0] == 2
    turned.save(pictures[0])
    assert counts(totals(run, small_bundle, listed, out)) == (1, 3, 0)


def test_two_workers_give_what_one_gives_byte_for_byte(
    run: Run, small_bundle: Path, listed: Path, tmp_path: Path, contents: Contents
):
    for workers in (1, 2):
        totals(run, small_bundle, listed, tmp_path / str(workers), "--workers", workers, "--threads", 1)
    one, two = contents(tmp_path / "1"), contents(tmp_path / "2")
    assert len(one) == 4 * 2 + 2
    assert one == two


def test_two_processes_do_not_work_on_one_archive(run: Run, small_bundle: Path, listed: Path, tmp_path: Path):
    out = tmp_path / "out"
    out.mkdir()
    with alone(out):
        result = run("predict", small_bundle, "--manifest", listed, "--out", out)
    assert_one_line_error(*result, "another process works on the archive")
    assert not (out / "ledger.jsonl").exists()


@pytest.fixture
def long_list(listed: Path, pictures: list[Path]) -> list[str]:
    """The names of 24 different pictures, which the manifest lists."""
    names = [f"{path.stem}-{number}" for number in range(12) for path in pictures[:2]]
    for name in names:
        original = pictures[0].parent / f"{name.rsplit('-', 1)[0]}.jpg"
        (original.parent / f"{name}.jpg").write_bytes(original.read_bytes() + name.encode())
    listed.write_text("path\n" + "".join(f"pictures/{name}.jpg\n" for name in names))
    return names


def ended_in_the_middle(number: signal.Signals, bundle: Path, manifest: Path, out: Path) -> tuple[int, str, int]:
    """An archive in a process of its own, told to end after some pictures: exit code, stderr, how many are done.

    Not in this one: a signal would find whatever native runtimes other tests have left here.
    """
    command = [sys.executable, "-m", "s2m_edge.cli.main", "predict", str(bundle), "--manifest", str(manifest)]
    process = subprocess.Popen(
        [*command, "--out", str(out), "--workers", "2"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    ledger, until = out / "ledger.jsonl", time.monotonic() + PATIENCE
    try:
        while not ledger.exists() or ledger.read_bytes().count(b"\n") < 5:
            assert process.poll() is None, "it ended before it could be told to"
            assert time.monotonic() < until
            time.sleep(0.01)
        process.send_signal(number)
        err = process.communicate(timeout=PATIENCE)[1]
    finally:
        process.kill()
    return process.returncode, err, ledger.read_bytes().count(b'"status":"done"')


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "told to end"])
def test_after_an_end_in_the_middle_the_same_command_goes_on_and_each_picture_is_done_once(
    run: Run,
    small_bundle: Path,
    listed: Path,
    long_list: list[str],
    tmp_path: Path,
    contents: Contents,
    number: signal.Signals,
):
    out = tmp_path / "out"
    code, err, told = ended_in_the_middle(number, small_bundle, listed, out)
    if number == signal.SIGTERM:
        assert code == 143
        assert err.endswith("interrupted; the same command goes on with what is left\n")
    assert 0 < told < len(long_list)
    assert not (out / "results.csv").exists()
    values = totals(run, small_bundle, listed, out, "--workers", 2)
    assert counts(values) == (len(long_list) - told, told, 0)
    assert Counter(record["name"] for record in lines_of(out)) == dict.fromkeys(
        (f"pictures/{name}" for name in long_list), 1
    )
    totals(run, small_bundle, listed, tmp_path / "unhurt")
    assert contents(out) == contents(tmp_path / "unhurt")


def test_a_worker_that_is_killed_costs_its_picture_alone(
    small_bundle: Path, listed: Path, pictures: list[Path], tmp_path: Path
):
    from s2m_edge.targets.archive.job import Job, Options
    from s2m_edge.targets.archive.local import Crew, work_locally
    from s2m_edge.targets.archive.manifest import read_manifest

    fatal = pictures[2]
    fatal.unlink()
    os.mkfifo(fatal)  # its reader waits, and is found by that
    jobs = [Job(item) for item in read_manifest(listed).items]
    outcomes = []
    (tmp_path / "out").mkdir()
    for outcome in work_locally(jobs, Crew(small_bundle, tmp_path / "out", Options())):
        outcomes.append(outcome)
        if len(outcomes) == 2:
            _kill_the_child_when_it_waits()
    assert [outcome.status for outcome in outcomes] == ["done", "done", "failed", "done"]
    assert "ended by signal 9" in outcomes[2].record["error"]


def _kill_the_child_when_it_waits() -> None:
    import multiprocessing
    import threading

    (child,) = multiprocessing.active_children()
    threading.Timer(1.0, child.kill).start()


@pytest.mark.parametrize("readable", [True, False], ids=["an item that is done", "an item that failed"])
def test_what_a_lost_machine_had_begun_to_write_does_not_stay(
    run: Run, small_bundle: Path, listed: Path, pictures: list[Path], tmp_path: Path, readable: bool
):
    if not readable:
        pictures[0].write_bytes(b"no picture")
    out = tmp_path / "out"
    (out / "pictures").mkdir(parents=True)
    stem = pictures[0].stem
    names = [f"{stem}-overlay.png", f"{stem}-mask.png", f"{stem}.dcm"]
    begun = [out / "pictures" / f".{name}.partial-{number}12345" for name in names for number in ("000", "111")]
    study = out / "pictures" / f".{stem}.partial-0123abcd"
    study.mkdir()
    (study / ".lock").write_text('{"host": "lost", "machine": "", "start": ""}')
    others = out / "pictures" / f".{stem}x-mask.png.partial-01012345"
    for path in (*begun, others):
        path.write_bytes(b"half")
    assert run("predict", small_bundle, "--manifest", listed, "--out", out)[0] == (0 if readable else 2)
    assert not any(path.exists() for path in (*begun, study))
    assert others.exists(), "no item's"


def test_what_others_wrote_is_not_replaced(
    run: Run, small_bundle: Path, listed: Path, pictures: list[Path], tmp_path: Path
):
    out = tmp_path / "out"
    theirs = out / "pictures" / f"{pictures[0].stem}-mask.png"
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(pictures[0].read_bytes())
    arguments = ("predict", small_bundle, "--manifest", listed, "--out", out)
    assert_one_line_error(*run(*arguments), "1 of 4 pictures failed")
    assert "was not written for" in table_of(out / "failures.csv")[0]["error"]
    assert theirs.read_bytes() == pictures[0].read_bytes()
    assert run(*arguments, "--overwrite")[0] == 0
    (out / "results.csv").write_text("mine")
    assert_one_line_error(*run(*arguments), "results.csv is there, and is not as this archive wrote it")
    assert (out / "results.csv").read_text() == "mine"


def test_a_table_of_somebody_else_is_refused_before_any_work(
    run: Run, small_bundle: Path, listed: Path, tmp_path: Path
):
    out = tmp_path / "out"
    out.mkdir()
    (out / "results.csv").write_text("mine")
    assert_one_line_error(*run("predict", small_bundle, "--manifest", listed, "--out", out), "results.csv is there")
    assert not list(out.rglob("*.png"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("colon.png", "--manifest", "m.csv"), ("both given",)),
        ((), ("no picture was given", "--manifest")),
        (("colon.png", "--workers", "2"), ("are for --manifest",)),
        (("--manifest", "m.csv", "--engine", "slurm"), ("no engine 'slurm'", "local or ray")),
        (("--manifest", "m.csv", "--ray-address", "auto"), ("--ray-address is for --engine ray",)),
        (("--manifest", "absent.csv"), ("absent.csv cannot be read",)),
    ],
)
def test_wrong_requests_are_one_line(run: Run, small_bundle: Path, options, words, elsewhere: Path):
    assert_one_line_error(*run("predict", small_bundle, *options), *words)
    assert list(elsewhere.iterdir()) == []
