"""Bundles on an emulated Arm processor: an artifact that is wrong is told from an emulator that failed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import time
import tomllib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import arm64
import arm64_run
from arm64_run import Emulator, NotExecutedError, Outcome, Verdict, execute
from arm64_system import PROCESSORS, WHEELS, System, find_processor, prepare_system
from networks import plain_u_net, trained
from pages import ROOT
from s2m_edge import processor as processor_module
from s2m_edge.apps.runner.build import CrossBuild, find_cross_build
from s2m_edge.apps.vectors import VECTORS
from s2m_edge.apps.vectors.refusals import REFUSALS
from s2m_edge.deploy.activation import probabilities
from s2m_edge.deploy.bundle import Bundle, open_bundle
from s2m_edge.deploy.golden import GOLDEN_FILE, require_golden_of
from s2m_edge.errors import CapabilityError, NativeBuildError
from s2m_edge.imaging.inputs import read_input
from s2m_edge.imaging.preprocess import normalise
from s2m_edge.native import find_cmake
from s2m_edge.quantize.network import quantize_network
from s2m_edge.samples import sample_images
from s2m_edge.targets.export import export_bundle
from s2m_edge.targets.registry import find_target

FACTS = {"machine": "aarch64", "features": "asimd", "device": "a runtime"}
SOUND = VECTORS / REFUSALS / "sound"
MakeEmulator = Callable[..., Emulator]


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    """Of ONNX in float32, with one golden input."""
    return open_bundle(SOUND)


@pytest.fixture
def emulator(tmp_path: Path) -> MakeEmulator:
    """In place of QEMU: a shell that does something, in the folder of the job, which is the last word (`there`)."""
    system = System(tmp_path / "system")
    for folder in (system.root / "usr", system.wheels, system.bytecode):
        folder.mkdir(parents=True)
    program = tmp_path / "qemu"

    def make(does: str, seconds: float = 180, there: bool = True) -> Emulator:
        version = 'if [ "$1" = --version ]; then echo "qemu-aarch64 version 0"; exit 0; fi\n'
        enter = 'for job; do :; done\ncd "$job"\n'
        program.write_text(f"#!/bin/sh\n{version}{enter if there else ''}{does}\n")
        program.chmod(0o755)
        cross = replace(find_cross_build("aarch64"), emulator=str(program))
        return Emulator(system, PROCESSORS[0], cross, seconds)

    return make


def answering(bundle: Bundle, folder: Path, change: Callable[[np.ndarray], np.ndarray]) -> str:
    """What the shell does to give the reference's answers, changed."""
    folder.mkdir()
    golden = require_golden_of(bundle.folder / GOLDEN_FILE, bundle.contract)
    np.save(folder / "probabilities.npy", change(np.stack([probabilities(entry.logits) for entry in golden])))
    (folder / "answer.json").write_text(json.dumps(FACTS))
    return f"cp {folder}/* ."


def assert_ended(note: Path) -> None:
    """The process whose number is in a file ends."""
    status, deadline = Path(f"/proc/{note.read_text().strip()}/status"), time.monotonic() + 180
    with suppress(FileNotFoundError, ProcessLookupError):
        while "State:\tZ" not in status.read_text():
            assert time.monotonic() < deadline, "it lives on"
            time.sleep(0.1)


def test_an_answer_within_the_gate_passes(bundle: Bundle, emulator: MakeEmulator, tmp_path: Path):
    does = answering(bundle, tmp_path / "answer", lambda found: found + np.float32(1e-6))
    found = execute(bundle, emulator(does))
    assert (found.verdict, found.reasons) == ("passed", ())
    assert found.report is not None
    assert 5e-7 < found.report.worst.max_probability_error < 2e-6
    assert found.report.edge_device == "a runtime, aarch64, asimd, emulated: cortex-a76"
    assert found.version == re.search(r"^onnxruntime==(\S+)", WHEELS.read_text(), re.M)[1]  # type: ignore[index]


@pytest.mark.parametrize(
    ("change", "verdict", "word"),
    [
        (lambda found: found + np.float32(0.01), "breached", "largest probability error 0.01"),
        (lambda found: found * np.float32(np.nan), "breached", "not finite"),
        (lambda found: np.flip(found, axis=-1), "breached", "mask agreement"),
        (lambda found: found[..., :-1], "refused", "the artifact gives"),
    ],
    ids=["error", "no number", "mirrored", "shape"],
)
def test_a_wrong_answer_is_the_artifacts(
    change: Callable, verdict: Verdict, word: str, bundle: Bundle, emulator: MakeEmulator, tmp_path: Path
):
    found = execute(bundle, emulator(answering(bundle, tmp_path / "answer", change)))
    assert found.verdict == verdict
    assert word in " ".join(found.reasons)
    assert arm64.exit_code([found]) == 1


def test_what_the_runtime_refuses_is_no_failure_of_the_emulator(bundle: Bundle, emulator: MakeEmulator):
    found = execute(bundle, emulator("""echo '{"refused": "s2mnet.onnx cannot be loaded"}' > answer.json"""))
    assert (found.verdict, found.reasons) == ("refused", ("s2mnet.onnx cannot be loaded",))


ANSWER = f"echo '{json.dumps(FACTS)}' > answer.json"


@pytest.mark.parametrize(
    ("does", "word"),
    [
        ("echo oh no >&2; kill -ILL $$", "ended by SIGILL (oh no)"),
        ("kill -SEGV $$", "ended by SIGSEGV"),
        ("echo ImportError: no such thing >&2; exit 1", "ended with 1 (ImportError: no such thing)"),
        ("exit 139", "ended with 139"),
        ("exit 0", "no answer that can be read (FileNotFoundError)"),
        ("echo '{' > answer.json", "no answer that can be read (JSONDecodeError)"),
        ("echo '[]' > answer.json", "no answer that can be read"),
        (ANSWER, "no answer that can be read (FileNotFoundError)"),
        (f"{ANSWER}; echo garbage > probabilities.npy", "no answer that can be read (ValueError)"),
        (f"{ANSWER}; printf 'PK\\003\\004' > probabilities.npy", "no answer that can be read (ValueError)"),
        (f"{ANSWER}; : > probabilities.npy", "no answer that can be read (ValueError)"),
        (f"{ANSWER}; cp pictures.npy probabilities.npy", "no answer that can be read (ValueError)"),
    ],
    ids=lambda value: value if value.startswith(("ended", "no ")) else "",
)
def test_an_emulator_that_fails_says_nothing_of_the_artifact(
    does: str, word: str, bundle: Bundle, emulator: MakeEmulator
):
    found = execute(bundle, emulator(does))
    assert found.verdict == "not executed"
    assert word in found.reasons[0]
    assert arm64.exit_code([found]) == 3


def test_an_emulator_that_hangs_is_ended_with_all_that_it_started(
    bundle: Bundle, emulator: MakeEmulator, tmp_path: Path
):
    note = tmp_path / "child"
    found = execute(bundle, emulator(f"sleep 600 & echo $! > {note}; wait", seconds=8))
    assert found.verdict == "not executed"
    assert found.reasons[0].startswith("the emulator was ended after 8 seconds")
    assert_ended(note)


def test_an_emulator_that_is_not_there_is_told(bundle: Bundle, emulator: MakeEmulator):
    made = emulator("")
    made = replace(made, cross=replace(made.cross, emulator="no-such-emulator"))
    found = execute(bundle, made)
    assert found.verdict == "not executed"
    assert "apt install qemu-user-static" in found.reasons[0]
    with pytest.raises(NotExecutedError, match="no-such-emulator"):
        made.version()


def test_the_program_gets_the_picture_and_nothing_of_the_callers_environment(
    bundle: Bundle, emulator: MakeEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("LD_PRELOAD_OF_THE_CALLER", "x")
    kept = tmp_path / "kept"
    execute(bundle, emulator(f'mkdir {kept}; env > env; echo "$@" > words; cp * {kept}'))
    assert "OF_THE_CALLER" not in (kept / "env").read_text()
    assert re.match(r"-cpu cortex-a76 -L \S+ \S+/usr/bin/python3.11 \S+/arm64_inside.py", (kept / "words").read_text())
    golden = require_golden_of(bundle.folder / GOLDEN_FILE, bundle.contract)
    assert np.array_equal(np.load(kept / "pictures.npy"), [entry.image for entry in golden])
    job = json.loads((kept / "job.json").read_text())
    assert Path(job["artifact"]) == bundle.artifact.resolve()
    assert job["threads"] == 1


def outcome(bundle: Bundle, verdict: Verdict) -> Outcome:
    return Outcome(bundle, PROCESSORS[0], "1.0", verdict)


def test_a_wrong_artifact_counts_more_than_one_that_was_not_executed(bundle: Bundle):
    def code(*verdicts: Verdict) -> int:
        return arm64.exit_code([outcome(bundle, verdict) for verdict in verdicts])

    assert code("passed", "passed") == 0
    assert code("passed", "not executed") == 3
    assert code("not executed", "breached") == code("refused", "not executed") == 1


def test_a_target_or_kernel_that_is_not_for_arm_here_is_not_executed(bundle: Bundle, emulator: MakeEmulator):
    def of(**changes: str) -> str:
        contract = replace(bundle.contract, values={**bundle.contract.values, **changes})
        found = execute(replace(bundle, contract=contract), emulator("exit 9"))
        assert found.verdict == "not executed"
        return found.reasons[0]

    assert "no runtime for Linux on Arm" in of(target="coreml")
    assert "--spectral matmul" in of(target="openvino", spectral="custom")
    assert "ended with 9" in of(target="openvino")


@pytest.mark.parametrize(
    ("does", "verdict", "word"),
    [
        ("echo '{}'", "passed", ""),
        ("echo warning: odd >&2; echo error: the self-test failed >&2; exit 1", "refused", "the self-test failed"),
        ("echo 'qemu-aarch64: unable to find CPU model' >&2; exit 1", "not executed", "unable to find CPU model"),
        ("kill -ILL $$", "not executed", "SIGILL"),
        ("echo garbage", "not executed", "no answer that can be read"),
        ("exit 0", "not executed", "no answer that can be read"),
    ],
    ids=["passed", "self-test", "qemu", "signal", "garbage", "nothing"],
)
def test_the_boards_program_is_judged_by_what_it_leaves(
    does: str,
    verdict: Verdict,
    word: str,
    bundle: Bundle,
    emulator: MakeEmulator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    pytest.importorskip("executorch")
    monkeypatch.setattr(arm64_run, "console_runner", lambda cross: None)
    monkeypatch.setattr(arm64_run, "build_library", lambda library: tmp_path / "program")
    answering(bundle, tmp_path / "answer", lambda found: found[0])
    images = [{"probabilities": str(tmp_path / "answer" / "probabilities.npy")}]
    said = json.dumps({"device": "cpu (aarch64)", "tools": {"executorch": "1.5.1"}, "images": images})
    contract = replace(bundle.contract, values={**bundle.contract.values, "target": "executorch"})
    found = execute(replace(bundle, contract=contract), emulator(does.replace("{}", said), there=False))
    assert found.verdict == verdict
    assert word in " ".join(found.reasons)


@pytest.fixture
def ready(monkeypatch: pytest.MonkeyPatch) -> Callable[[Emulator], None]:
    """Gives the command a system and an emulator."""

    def give(made: Emulator) -> None:
        monkeypatch.setattr(arm64, "prepare_system", lambda mirror: made.system)
        monkeypatch.setattr(arm64, "find_cross_build", lambda architecture: made.cross)

    return give


def test_the_command_prints_a_table_and_writes_what_it_found(
    bundle: Bundle,
    emulator: MakeEmulator,
    ready: Callable,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("COLUMNS", "200")
    ready(emulator(answering(bundle, tmp_path / "answer", lambda found: found + np.float32(0.01))))
    file = tmp_path / "found.json"
    assert arm64.main(["run", str(SOUND), "--json", str(file)]) == 1
    out = capsys.readouterr().out
    assert "cortex-a76 (Raspberry Pi 5), emulated by qemu-aarch64 version 0" in out
    row = next(line.split() for line in out.splitlines() if line.strip().startswith("onnx"))
    assert (row[0], row[-1]) == ("onnx", "breached"), out
    assert {"float32", "1", "1.0e-02"} <= set(row), out
    assert re.search(r"sound: breached: .*largest probability error", out)
    assert "Research use only" in out
    (entry,) = json.loads(file.read_text())["outcomes"]
    assert (entry["verdict"], entry["processor"]) == ("breached", "cortex-a76")
    assert entry["report"]["passed"] is False


# In place of what `ready` does here: the signal is for the command, and not for a process that other tests share.
INTERRUPTED = """
    import sys
    from dataclasses import replace
    from pathlib import Path

    import arm64
    from arm64_system import System
    from s2m_edge.apps.runner.build import find_cross_build

    system, emulator, bundle, found = sys.argv[1:]
    arm64.prepare_system = lambda mirror: System(Path(system))
    arm64.find_cross_build = lambda architecture: replace(find_cross_build(architecture), emulator=emulator)
    sys.exit(arm64.main(["run", bundle, "--json", found]))
"""


def test_an_interrupted_command_ends_the_emulator(emulator: MakeEmulator, tmp_path: Path):
    note, found = tmp_path / "emulator", tmp_path / "found.json"
    made = emulator(f"echo $$ > {note}; kill -TERM $PPID; sleep 600")
    words = [str(made.system.folder), made.cross.emulator, str(SOUND), str(found)]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(INTERRUPTED), *words],
        env=os.environ | {"PYTHONPATH": str(ROOT / "tools")},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 143, done.stderr
    assert "interrupted; nothing was written" in done.stderr
    assert_ended(note)
    assert not found.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--limit", "0"], "--limit is 0"),
        (["--seconds", "-1"], "--seconds is -1"),
        (["--cpu", "z80"], "Choose cortex-a76 or cortex-a72"),
    ],
    ids=str,
)
def test_a_wrong_request_is_refused_in_one_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]):
    assert arm64.main(["run", str(SOUND), *words]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert said in lines[0]


def test_what_cannot_be_fetched_leaves_nothing_executed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def lacking(mirror: str) -> System:
        raise NativeBuildError("Debian's packages for arm64 cannot be fetched (no route)", "Check the network.")

    monkeypatch.setattr(arm64, "prepare_system", lacking)
    assert arm64.main(["run", str(SOUND)]) == 3
    assert "nothing was executed: Debian's packages for arm64 cannot be fetched (no route)" in capsys.readouterr().err
    assert arm64.main(["prepare"]) == 2


def test_a_machine_without_debians_tools_is_told_what_is_lacking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("S2M_EDGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(shutil, "which", lambda name, **_: None)
    with pytest.raises(NativeBuildError, match="there is no apt-get here"):
        prepare_system()
    assert not (tmp_path / "cache").exists()


def test_the_wheels_are_of_the_versions_that_the_toolkit_pins():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pins = {*project["dependencies"], *(pin for extra in project["optional-dependencies"].values() for pin in extra)}
    lines = [line.split() for line in WHEELS.read_text().splitlines() if not line.startswith("#")]
    assert {line[0] for line in lines} <= pins
    assert len(lines) == 5
    assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", word) for line in lines for word in line[1:])


@pytest.mark.parametrize(("name", "features"), [("cortex-a76", "asimd dotprod"), ("cortex-a72", "asimd")])
def test_the_toolkit_reads_an_emulated_processor_as_it_is(
    name: str, features: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "root").mkdir()
    (tmp_path / "system" / "root" / "usr").mkdir(parents=True)
    root = System(tmp_path / "system").dress(find_processor(name), tmp_path / "root")
    assert (root / "usr").is_dir()
    monkeypatch.setattr(processor_module, "_CPU_INFO", root / "proc" / "cpuinfo")
    found = processor_module._read_features()
    assert found is not None
    assert processor_module.features_text(found) == features
    with pytest.raises(CapabilityError, match="cortex-a72"):
        find_processor("z80")


@pytest.fixture(scope="module")
def arm() -> tuple[System, CrossBuild]:
    """The emulated system, fetched if need be, about 105 MB."""
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        pytest.skip("Arm is emulated on Linux on x86-64 alone")
    cross = find_cross_build("aarch64")
    lacking = [name for name in (cross.emulator, cross.compiler, "apt-get") if shutil.which(name) is None]
    lacking += [] if find_cmake() else ["cmake"]
    if lacking:
        pytest.skip(f"nothing is emulated: there is no {', no '.join(lacking)}")
    try:
        return prepare_system(), cross
    except NativeBuildError as error:
        pytest.skip(f"nothing is emulated: {error}")


CASES = {"onnx": "float32 int8", "openvino": "int8", "litert": "int8", "executorch": "int8"}
"""The board's program in float32 is emulated in tests/apps/runner; docs/arm64.md has every case, by hand."""


@pytest.mark.slow
@pytest.mark.timeout(3000)  # the first run fetches, and builds the board's program
def test_every_runtime_computes_on_arm_what_the_reference_computes(arm: tuple[System, CrossBuild], tmp_path: Path):
    """A small network; what the emulator does not carry to its end is told, and is no verdict."""
    system, cross = arm
    network, spec = trained(plain_u_net(96, 64))
    images = sample_images("polyp")
    pictures = [normalise(read_input(path, spec.preprocessing), spec.preprocessing)[0] for path in images]
    quantized = quantize_network(network, spec, [torch.from_numpy(picture) for picture in pictures])
    emulator = Emulator(system, PROCESSORS[0], cross, seconds=300)
    found: list[Outcome] = []
    for target in CASES:
        pytest.importorskip(find_target(target).module)
        for precision in CASES[target].split():
            model, out = quantized if precision == "int8" else network, tmp_path / f"{target}-{precision}"
            export_bundle(find_target(target), model, spec, precision=precision, images=images[:1], out=out)  # type: ignore[arg-type]
            found.append(execute(open_bundle(out), emulator))
    told = {entry.bundle.folder.name: f"{entry.verdict} {' '.join(entry.reasons)}" for entry in found}
    assert not [name for name, said in told.items() if said.startswith(("breached", "refused"))], told
    missing = [f"{name}: {said}" for name, said in told.items() if said.startswith("not executed")]
    if missing:
        pytest.skip("; ".join(missing))
    assert all(entry.report is not None and "aarch64" in entry.report.edge_device for entry in found)
