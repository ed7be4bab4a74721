"""Running a bundle's artifact on an emulated Arm processor, and judging what came back here, by the gates of parity.

A run is a process of its own with a time limit. That the emulator failed (it is not there, a signal, the time, an
answer that nobody can read) says nothing of an artifact, and is never taken for a verdict on one.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from arm64_system import WHEELS, Processor, System
from s2m_edge import interrupts
from s2m_edge.apps.runner.build import CrossBuild, console_runner
from s2m_edge.deploy.activation import probabilities
from s2m_edge.deploy.bundle import Bundle
from s2m_edge.deploy.golden import GOLDEN_FILE, Golden, require_golden_of
from s2m_edge.errors import AnswerError, S2MEdgeError
from s2m_edge.installation import CHECKOUT
from s2m_edge.native import build_library
from s2m_edge.targets.answer import shaped_answer
from s2m_edge.targets.measure.parity.compare import ImageParity, compare
from s2m_edge.targets.measure.parity.report import ParityReport
from s2m_edge.targets.opening import target_of
from s2m_edge.versions import tool_versions

BOARD, INSIDE = "executorch", Path(__file__).resolve().parent / "arm64_inside.py"
"""The target that the board's C++ program runs; the program of all others."""
DISTRIBUTIONS = {"litert": "ai-edge-litert"}
"""Whose wheel runs a target's artifacts, where it is not the registry's, which makes them."""

Verdict = Literal["passed", "breached", "refused", "not executed"]


class NotExecutedError(S2MEdgeError):
    """The emulator did not carry a program to its end, or there is none to carry: nothing is known of the artifact."""

    exit_code = 3


class RefusedError(S2MEdgeError):
    """The runtime does not take the artifact on this processor, or fails on a picture."""

    exit_code = 1


@dataclass(frozen=True)
class Outcome:
    """One artifact on one processor.

    Attributes:
        verdict: "breached": it ran, and is outside its gate; "refused": its runtime said no.
        reasons: sentences; none where it passed.
        report: where it ran to its end.
    """

    bundle: Bundle
    processor: Processor
    version: str
    verdict: Verdict
    reasons: tuple[str, ...] = ()
    report: ParityReport | None = None


@dataclass(frozen=True)
class Answer:
    """What a program gave: probabilities for each picture, what ran it, and facts of the system."""

    probabilities: list[NDArray[np.float32]]
    device: str
    facts: dict[str, Any]


@dataclass(frozen=True)
class Emulator:
    """How programs are run.

    Attributes:
        cross: what this machine has for Arm; seconds: for one process; threads: of the runtime.
    """

    system: System
    processor: Processor
    cross: CrossBuild
    seconds: float
    threads: int = 1

    def version(self) -> str:
        """QEMU's own first line.

        Raises:
            NotExecutedError: it is not there.
        """
        done = self._start([self._path(), "--version"], Path.cwd(), {}, 60)
        return done.stdout.splitlines()[0] if done.stdout else "an emulator that does not say its version"

    def run(self, root: Path, command: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
        """A program of the emulated system, in `folder`, with nothing of this process's environment.

        Raises:
            NotExecutedError: it did not end by itself.
        """
        environment = {
            "HOME": str(folder),
            "LC_ALL": "C.UTF-8",
            "OMP_NUM_THREADS": str(self.threads),
            "OPENBLAS_NUM_THREADS": "1",
            "PATH": "/usr/bin",
            "PYTHONPATH": os.pathsep.join((str(CHECKOUT), str(self.system.wheels))),
            "PYTHONPYCACHEPREFIX": str(self.system.bytecode),
        }
        words = [self._path(), "-cpu", self.processor.name, "-L", str(root), *command]
        return self._start(words, folder, environment, self.seconds)

    def _path(self) -> str:
        found = shutil.which(self.cross.emulator)
        if found is None:
            raise NotExecutedError(
                f"there is no {self.cross.emulator} here", "Install it (Debian: apt install qemu-user-static)."
            )
        return found

    def _start(
        self, command: list[str], folder: Path, environment: dict[str, str], seconds: float
    ) -> subprocess.CompletedProcess[str]:
        process: subprocess.Popen[str] | None = None
        try:
            with interrupts.postponed():  # a signal within would leave a process that nobody knows
                process = subprocess.Popen(
                    command,
                    cwd=folder,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                    errors="replace",
                    start_new_session=True,
                )
            out, err = process.communicate(timeout=seconds)
            code = process.returncode
        except subprocess.TimeoutExpired:
            raise NotExecutedError(
                f"the emulator was ended after {seconds:g} seconds", "Give it more with --seconds, or a smaller bundle."
            ) from None
        except OSError as error:
            raise NotExecutedError(f"the emulator cannot be started ({error.strerror})") from None
        finally:
            if process is not None:
                _end(process)
        if code < 0:
            number = -code
            names = {entry.value: entry.name for entry in signal.Signals}
            raise NotExecutedError(f"the emulator ended by {names.get(number, f'signal {number}')}{_last_of(err)}")
        return subprocess.CompletedProcess(command, code, out, err)


def _end(process: subprocess.Popen[str]) -> None:
    """End what is left of a process and of those that it started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def _array(path: Path) -> NDArray[Any]:
    """A file that `numpy.save` wrote; ValueError where it is none (`numpy.load` guesses other formats)."""
    with path.open("rb") as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _last_of(text: str) -> str:
    """The last line that a program wrote, in brackets."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return f" ({lines[-1][:300]})" if lines else ""


def pinned_version(distribution: str) -> str:
    """The version that `arm64.txt` pins; empty of one that is not there."""
    lines = [line.split()[0].partition("==") for line in WHEELS.read_text().splitlines() if line[:1].isalpha()]
    return next((version for name, _, version in lines if name == distribution), "")


def execute(bundle: Bundle, emulator: Emulator, limit: int | None = None) -> Outcome:
    """Run a bundle's artifact over its golden inputs and judge it.

    Args:
        limit: of the golden inputs; those that show an object first.
    """
    target = target_of(bundle)
    distribution = DISTRIBUTIONS.get(target.name, target.distribution)
    version = (target.version() if target.name == BOARD else pinned_version(distribution)) or "-"
    given = require_golden_of(bundle.folder / GOLDEN_FILE, bundle.contract)
    golden = sorted(given, key=lambda entry: not entry.mask.any())[:limit]
    try:
        if target.name == BOARD:
            answer = _run_board_program(bundle, golden, emulator)
        elif version == "-":
            raise NotExecutedError(f"{target.title} has no runtime for Linux on Arm that this tool knows")
        elif any(row.kernel for row in target.lowerings if row.name == bundle.contract.spectral):
            raise NotExecutedError(
                f"a bundle of --spectral {bundle.contract.spectral} needs a kernel that is not built for Arm here",
                "Take one of --spectral matmul.",
            )
        else:
            answer = _run_runner(bundle, golden, distribution, emulator)
        report = replace(judge(bundle, golden, answer, emulator), images_given=len(given))
    except NotExecutedError as error:
        return Outcome(bundle, emulator.processor, version, "not executed", (str(error),))
    except (RefusedError, AnswerError) as error:
        return Outcome(bundle, emulator.processor, version, "refused", (error.cause,))
    verdict = "passed" if report.passed else "breached"
    return Outcome(bundle, emulator.processor, version, verdict, tuple(report.breaches), report)


def judge(bundle: Bundle, golden: Sequence[Golden], answer: Answer, emulator: Emulator) -> ParityReport:
    """What was answered beside what the reference answered where the bundle was exported.

    Raises:
        AnswerError: an answer has another shape.
    """
    measured: list[ImageParity] = []
    contract = bundle.contract
    for entry, found in zip(golden, answer.probabilities, strict=True):
        expected = probabilities(entry.logits)
        edge = shaped_answer(lambda _, found=found: found, entry.image, expected.shape)
        # An emulated processor's time is nobody's.
        measured.append(compare(entry.name, expected, edge, contract.threshold, milliseconds=0.0))
    return ParityReport(
        target=contract.target,
        precision=contract.precision,
        spectral=contract.spectral,
        verdict="executed",
        edge_device=f"{answer.device}, emulated: {emulator.processor.name}",
        reference_device="recorded in the bundle",
        images=tuple(measured),
        tools=tool_versions(),
        hashes={"weights": contract.weights_sha256, **contract.files},
        observations=answer.facts,
        remark=str(answer.facts.get("remark", "")),
    )


def _run_runner(bundle: Bundle, golden: Sequence[Golden], distribution: str, emulator: Emulator) -> Answer:
    """By the toolkit's own runner, in the emulated system's Python."""
    contract = bundle.contract
    names = ("height", "width", "channels", "scale", "mean", "standard_deviation")
    job = {
        "target": contract.target,
        "distribution": distribution,
        "artifact": str(bundle.artifact.resolve()),
        "interface": asdict(bundle.interface),
        "preprocessing": {name: getattr(contract.preprocessing, name) for name in names},
        "precision": contract.precision,
        "threads": emulator.threads,
    }
    with tempfile.TemporaryDirectory() as name:
        folder, root = Path(name) / "job", Path(name) / "root"
        folder.mkdir()
        root.mkdir()
        (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
        np.save(folder / "pictures.npy", np.stack([entry.image for entry in golden]))
        emulator.system.dress(emulator.processor, root)
        done = emulator.run(root, [str(root / "usr/bin/python3.11"), str(INSIDE), str(folder)], folder)
        if done.returncode:
            raise NotExecutedError(f"the emulated program ended with {done.returncode}{_last_of(done.stderr)}")
        try:
            facts = json.loads((folder / "answer.json").read_text(encoding="utf-8"))
            if "refused" in facts:
                raise RefusedError(str(facts["refused"]))
            found = _array(folder / "probabilities.npy")
            device = f"{facts.pop('device')}, {facts['machine']}, {facts['features']}"
            if len(found) != len(golden) or found.dtype != np.float32:
                raise ValueError(f"{found.dtype} of {len(found)} pictures")
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise NotExecutedError(f"the emulator left no answer that can be read ({type(error).__name__})") from error
    return Answer(list(found), device, facts)


def _run_board_program(bundle: Bundle, golden: Sequence[Golden], emulator: Emulator) -> Answer:
    """By the board's program, which fits the pictures itself; they have the network's size already."""
    from PIL import Image

    try:
        target_of(bundle).require_backend()
        program = build_library(console_runner(emulator.cross))
    except S2MEdgeError as error:  # no compiler, no wheel, no room: nothing that the artifact could help
        raise NotExecutedError(error.cause, error.remedy) from error
    with tempfile.TemporaryDirectory() as name:
        folder, root = Path(name) / "job", Path(name) / "root"
        folder.mkdir()
        root.mkdir()
        pictures = [folder / f"golden-{index}.png" for index in range(len(golden))]
        for path, entry in zip(pictures, golden, strict=True):
            Image.fromarray(entry.image[..., 0] if entry.image.shape[-1] == 1 else entry.image).save(path)
        emulator.system.dress(emulator.processor, root)
        options = ["--out", str(folder / "out"), "--probabilities", "--json", "--threads", str(emulator.threads)]
        words = [str(program), str(bundle.folder.resolve()), *(str(path) for path in pictures), *options]
        done = emulator.run(root, words, folder)
        # Its self-test or an answer failed, or it does not take the bundle. QEMU's own failures end with 1 as well.
        if done.returncode in (1, 2) and "error: " in (line[:7] for line in done.stderr.splitlines()):
            raise RefusedError(f"the board's program ended with {done.returncode}{_last_of(done.stderr)}")
        if done.returncode:
            raise NotExecutedError(f"the board's program ended with {done.returncode}{_last_of(done.stderr)}")
        try:
            facts = json.loads(done.stdout)
            found = [_array(Path(entry["probabilities"])) for entry in facts["images"]]
            device, version = str(facts["device"]), str(facts["tools"]["executorch"])
            if len(found) != len(golden):
                raise ValueError(f"answers for {len(found)} pictures")
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise NotExecutedError(f"the emulator left no answer that can be read ({type(error).__name__})") from error
    return Answer(found, device, {"version": version, "threads": emulator.threads})
