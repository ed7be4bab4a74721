"""An interrupt ends the command, whatever a library makes of the exception, and nothing is published after it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from command_line import Run, heed_interrupts
from networks import plain_u_net
from s2m_edge import console, interrupts
from s2m_edge.cli import main as entry
from s2m_edge.deploy.bundle import open_bundle
from s2m_edge.errors import LoweringError
from s2m_edge.files import FolderKind, publish_folder, staged_folder, write_bytes
from s2m_edge.targets.export import export_bundle, export_targets
from s2m_edge.targets.measure.benchmark.contenders import S2M_NET, Contender
from s2m_edge.targets.measure.benchmark.processes import begin_worker
from s2m_edge.targets.registry import find_target

ROOT = Path(__file__).parents[2]
KIND = FolderKind("a test's folder", lambda folder: ["content"])


def told_to_end(number: signal.Signals = signal.SIGINT) -> None:
    """A signal from outside, and what it raises."""
    os.kill(os.getpid(), number)
    time.sleep(1.0)


def swallowing(number: signal.Signals = signal.SIGINT) -> None:
    with suppress(BaseException):
        told_to_end(number)


def wrapping(number: signal.Signals = signal.SIGINT) -> None:
    try:
        told_to_end(number)
    except BaseException as error:
        raise RuntimeError("the graph could not be converted") from error


def hiding(number: signal.Signals = signal.SIGINT) -> None:
    try:
        told_to_end(number)
    except BaseException:
        raise RuntimeError("the graph could not be converted") from None


@pytest.fixture(autouse=True)
def started_in_the_foreground() -> Iterator[None]:
    """A shell's background job starts with SIGINT ignored, and everything here would rightly ignore it too."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("library", [swallowing, wrapping, hiding, told_to_end])
def test_a_command_whose_library_loses_the_interrupt_ends_with_its_code_and_publishes_nothing(
    library: Callable[[signal.Signals], None], number: signal.Signals, code: int, tmp_path: Path, run: Run, monkeypatch
):
    def command(**options: object) -> None:
        with staged_folder(tmp_path / "bundle", KIND) as stage:
            (stage / "content").write_text("new")
            library(number)
            publish_folder(stage, tmp_path / "bundle", KIND)

    monkeypatch.setattr(entry, "app", command)
    before = signal.getsignal(signal.SIGINT)
    ended, _, err = run()
    assert ended == code
    assert "interrupted; nothing was left half-written" in err
    assert "error:" not in err
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("step", ["a file", "a step of the progress bar", "nothing more"])
def test_a_swallowed_interrupt_ends_the_command_at_its_next_step(step: str, tmp_path: Path, run: Run, monkeypatch):
    reached = []

    def command(**options: object) -> None:
        with console.progress_bar("work") as update:
            swallowing()
            if step == "a file":
                write_bytes(tmp_path / "file", b"x")
            elif step == "a step of the progress bar":
                update("the next", 1, 2)
            reached.append(step)

    monkeypatch.setattr(entry, "app", command)
    assert run()[0] == 130
    assert list(tmp_path.iterdir()) == []
    assert reached == (["nothing more"] if step == "nothing more" else [])


def test_one_command_knows_nothing_of_the_interrupt_of_another(run: Run, monkeypatch):
    monkeypatch.setattr(entry, "app", lambda **options: swallowing())
    assert run()[0] == 130
    monkeypatch.setattr(entry, "app", lambda **options: interrupts.heed())
    assert run()[0] == 0


LISTENING = """
    import sys, time
    from pathlib import Path
    from s2m_edge import interrupts
    from s2m_edge.cli import main as entry

    interrupts.ONE_PRESS = float(sys.argv[2])

    def command(**options):
        try:
            print("ready", flush=True)
            time.sleep(60)
        finally:
            print("cleaning", flush=True)
            time.sleep(float(sys.argv[1]))
            print("cleaned", flush=True)

    entry.app = command
    entry.main([])
"""


def listening(seconds: float, one_press: float) -> subprocess.Popen[str]:
    """A command that takes `seconds` to clean up, and takes what comes within `one_press` seconds for one press."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(LISTENING), str(seconds), str(one_press)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        preexec_fn=heed_interrupts,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_a_second_interrupt_ends_the_command_at_once():
    process = listening(60, interrupts.ONE_PRESS)
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    assert process.stdout.readline() == "cleaning\n"
    time.sleep(interrupts.ONE_PRESS + 0.2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "ended at once" in err
    assert "cleaned" not in out


def test_one_press_that_arrives_twice_is_one():
    """A terminal tells the whole group, and wrappers pass on what they hear."""
    process = listening(0.1, one_press=60)  # however busy the machine is
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    assert process.stdout.readline() == "cleaning\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "nothing was left half-written" in err
    assert "cleaned" in out


def test_a_job_that_was_started_to_ignore_interrupts_does_so():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interrupts.listening():
            os.kill(os.getpid(), signal.SIGINT)
            interrupts.heed()
            assert interrupts.received() is None
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_interrupt_while_a_worker_starts_ends_the_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    started: list[subprocess.Popen[str]] = []

    def start(command: list[str], **options: Any) -> subprocess.Popen[str]:
        process = real([sys.executable, "-c", "import time; time.sleep(60)"], **options)
        started.append(process)
        os.kill(os.getpid(), signal.SIGINT)  # the worker runs, and nobody holds it yet
        return process

    real = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", start)
    contender = Contender("eager", "eager", S2M_NET, "pytorch", "float32", None, tmp_path / "small.safetensors", 96)
    with pytest.raises(KeyboardInterrupt), interrupts.listening(), ExitStack() as stack:
        begin_worker(stack, contender, 1)
    assert [process.returncode for process in started] == [-signal.SIGKILL]


def lower_small(out: Path, images: list[Path], target: str = "onnx") -> None:
    network, spec = plain_u_net(64, 64)
    export_bundle(find_target(target), network, spec, precision="float32", images=images[:1], out=out)


@pytest.mark.parametrize(("library", "listens"), [(swallowing, True), (wrapping, True), (wrapping, False)])
@pytest.mark.parametrize("step", ["lower", "save"])
def test_a_backend_that_loses_the_interrupt_is_no_failure_to_lower(
    step: str, library: Callable[[], None], listens: bool, tmp_path: Path, polyp_images: list[Path], monkeypatch
):
    """In Python nobody notes signals: an exception that was swallowed for good is lost there, a wrapped one is not."""
    exporter = type(find_target("onnx").make_exporter())
    monkeypatch.setattr(exporter, "lower", lambda *arguments: library() if step == "lower" else None)
    monkeypatch.setattr(exporter, "save", lambda *arguments: library())
    if listens:
        with interrupts.listening(), pytest.raises(KeyboardInterrupt):
            lower_small(tmp_path / "bundle", polyp_images)
    else:
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            with pytest.raises(KeyboardInterrupt):
                lower_small(tmp_path / "bundle", polyp_images)
        finally:
            signal.signal(signal.SIGINT, before)
    assert list(tmp_path.iterdir()) == []


def test_after_an_interrupt_no_further_target_is_begun(tmp_path: Path, polyp_images: list[Path], monkeypatch):
    begun = []

    def lost(target: object, *arguments: object, **options: object) -> None:
        begun.append(target)
        try:
            wrapping()
        except RuntimeError as error:
            raise LoweringError("the network could not be lowered") from error

    monkeypatch.setattr("s2m_edge.targets.export.export_bundle", lost)
    network, spec = plain_u_net(64, 64)
    targets = [find_target("onnx"), find_target("openvino")]
    with interrupts.listening(), pytest.raises(KeyboardInterrupt):
        export_targets(targets, network, spec, images=polyp_images[:1], out=tmp_path)
    assert begun == targets[:1]


def test_a_real_onnx_export_can_be_interrupted_at_any_moment(tmp_path: Path, polyp_images: list[Path]):
    lower_small(tmp_path / "first", polyp_images)  # what is imported once is no part of the measure
    began = time.perf_counter()
    lower_small(tmp_path / "whole", polyp_images)
    seconds = time.perf_counter() - began
    for share in (0.05, 0.2, 0.35, 0.5, 0.65, 0.8):
        out = tmp_path / f"interrupted-{share}"
        timer = threading.Timer(share * seconds, os.kill, (os.getpid(), signal.SIGINT))
        with interrupts.listening(), pytest.raises(KeyboardInterrupt):  # noqa: PT012 - it comes anywhere
            timer.start()
            lower_small(out, polyp_images)
            timer.join()  # a faster run than the measured one
            told_to_end()
        if out.exists():
            shutil.rmtree(open_bundle(out).folder)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "whole"]
