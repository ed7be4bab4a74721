"""Measuring: contenders in turn, and one that fails beside others that go on."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from s2m_edge.errors import LoweringError
from s2m_edge.targets.measure.benchmark import measure as module
from s2m_edge.targets.measure.benchmark import processes
from s2m_edge.targets.measure.benchmark.contenders import Contender, pytorch_contenders
from s2m_edge.targets.measure.benchmark.measure import WARM_UP, Entry, Settings, measure
from s2m_edge.targets.measure.benchmark.processes import WorkerProcess
from s2m_edge.targets.measure.benchmark.progress import Pace
from s2m_edge.targets.measure.benchmark.samples import SampleChoice

SETTINGS = Settings(threads=1, rounds=6, samples=SampleChoice())


def contender(title: str) -> Contender:
    return Contender(title, "bundle", "S2M-Net", "onnx", "float32", None, Path("somewhere"), 96)


class FakeWorker:
    """Answers as a worker does; its title says how it behaves. Notes who ran, in order."""

    turns: list[str]
    alive: set[str]

    def __init__(self, contender, threads, variables=None) -> None:
        self.contender, self.threads, self.title, self.runs = contender, threads, contender.title, 0
        self.alive.add(self.title)

    def ask(self, action, **values):
        if action == "open":
            if self.title == "unloadable":
                raise LoweringError("it does not load")
            return {"verdict": "artifact parity" if self.title == "evaluator" else "executed", "device": "cpu"} | {
                "load_seconds": 0.5
            }
        if action == "run":
            self.runs += values["count"]
            if values["count"] == 1:
                self.turns.append(self.title)
            if self.title == "dying" and self.runs > WARM_UP + 2:
                raise LoweringError("its process ended (signal 9)")
            return [float(self.runs)] * values["count"]
        return {"peak": 10.0, "resident": 5.0} if action == "memory" else None

    def end(self) -> None:
        self.alive.discard(self.title)


@pytest.fixture
def worker(monkeypatch) -> type[FakeWorker]:
    kind = type("Worker", (FakeWorker,), {"turns": [], "alive": set()})
    monkeypatch.setattr(processes, "WorkerProcess", kind)
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.0)
    return kind


def run(*titles: str):
    entries = [Entry(contender(title), 1, "not exported" if title == "missing" else "") for title in titles]
    return measure(entries, SETTINGS, Pace())


def test_every_round_runs_each_contender_and_the_ceiling_once_in_changing_order(worker):
    run("first", "second", "third")
    rounds = [tuple(worker.turns[start : start + 4]) for start in range(0, len(worker.turns), 4)]
    assert len(rounds) == SETTINGS.rounds
    assert all(set(turns) == {"first", "second", "third", "matrix product"} for turns in rounds)
    assert len(set(rounds)) > 1


def test_times_are_those_of_the_rounds_and_not_of_the_warm_up(worker):
    (row,) = run("first").rows
    assert row.milliseconds == tuple(float(WARM_UP + index) for index in range(1, SETTINGS.rounds + 1))
    assert (row.peak_memory, row.resident_memory, row.load_seconds) == (10.0, 5.0, 0.5)


def test_the_ceiling_is_the_best_product(worker):
    assert run("first").ceiling_milliseconds == WARM_UP + 1


def test_what_fails_keeps_a_row_with_the_reason_and_the_others_go_on(worker):
    measurement = run("missing", "unloadable", "evaluator", "dying", "fine")
    found = {row.entry.contender.title: (row.status, row.reason) for row in measurement.rows}
    assert found == {
        "missing": ("not run", "not exported"),
        "unloadable": ("not run", "it does not load"),
        "evaluator": ("converted, not executed", "cpu is no runtime"),
        "dying": ("not run", "its process ended (signal 9)"),
        "fine": ("executed", ""),
    }
    lengths = [len(row.milliseconds) for row in measurement.rows]
    assert lengths == [0, 0, 0, 0, SETTINGS.rounds]
    assert Counter(worker.turns)["dying"] == 3


def test_no_worker_outlives_the_measurement(worker, monkeypatch):
    run("first", "evaluator")
    assert not worker.alive
    monkeypatch.setattr(worker, "ask", lambda self, action, **values: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        run("first", "second")
    assert not worker.alive


def test_the_faster_eager_row_is_the_base(worker):
    entries = [Entry(each, 1) for each in pytorch_contenders(Path("a.safetensors"), 96, compiled=True)]
    base = measure(entries, SETTINGS, Pace()).base
    assert base is not None
    assert base.entry.contender.kind == "eager"


def test_a_worker_predicts_in_a_process_of_its_own_and_says_when_it_is_gone(small_checkpoint, polyp_images):
    (eager, _) = pytorch_contenders(small_checkpoint, 96, compiled=False)
    worker = WorkerProcess(eager, threads=1)
    try:
        picture = str(polyp_images[0])
        opened = worker.ask("open", contender=eager.to_dict(), threads=1, picture=picture)
        assert opened["verdict"] == "executed"
        assert opened["load_seconds"] > 0
        times = worker.ask("run", count=2)
        assert len(times) == 2
        assert min(times) > 0
        memory = worker.ask("memory")
        weights = 4 * 4.6e6 / 2**20
        assert memory["peak"] >= memory["resident"] > weights / 2
        assert memory["peak"] < 1000
        absent = {**eager.to_dict(), "source": "absent.safetensors"}
        with pytest.raises(LoweringError, match="there is no checkpoint"):
            worker.ask("open", contender=absent, threads=1, picture=picture)
        os.kill(worker._process.pid, signal.SIGKILL)
        with pytest.raises(LoweringError, match="its process ended"):
            worker.ask("run", count=1)
    finally:
        worker.end()
    assert worker._process.poll() is not None


def test_a_compiler_that_is_missing_is_the_rows_reason(small_checkpoint, polyp_images, tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", str(tmp_path / "no-compiler"))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    compiled = pytorch_contenders(small_checkpoint, 96, compiled=True)[-1]
    worker = WorkerProcess(compiled, threads=1)
    try:
        with pytest.raises(LoweringError, match=r"torch\.compile failed here .*ompiler"):
            worker.ask("open", contender=compiled.to_dict(), threads=1, picture=str(polyp_images[0]))
    finally:
        worker.end()
