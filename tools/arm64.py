"""Bundles on an emulated 64-bit Arm processor, each runtime in a process of its own, beside the reference.

    python tools/arm64.py prepare                      # once: Debian's Python and the runtimes for Arm, 105 MB
    python tools/arm64.py run exports/BUNDLE...        # a table; --cpu cortex-a72 for another processor

ONNX Runtime, OpenVINO and LiteRT by the toolkit's runners, ExecuTorch by the board's program. Debian: apt install
qemu-user-static g++-aarch64-linux-gnu cmake. Exit codes: 0 all passed; 1 an artifact is outside its gate, or refused by
its runtime; 2 a wrong request; 3 something was not executed, and nothing is known of it. Times are not told: they would
be the emulator's.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.table import Table

from arm64_run import Emulator, NotExecutedError, Outcome, execute
from arm64_system import MIRROR, PROCESSORS, find_processor, prepare_system
from s2m_edge import console, interrupts
from s2m_edge.apps.runner.build import find_cross_build
from s2m_edge.deploy.bundle import Bundle, open_bundle
from s2m_edge.errors import ConfigurationError, NativeBuildError, S2MEdgeError
from s2m_edge.files import require_writable, write_json
from s2m_edge.notice import NOTICE
from s2m_edge.texts import printable

SECONDS = 900


def main(arguments: Sequence[str]) -> int:
    """The command; its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    steps = parser.add_subparsers(dest="step", required=True)
    prepare = steps.add_parser("prepare", help="fetch the emulated system into the cache, once")
    run = steps.add_parser("run", help="run bundles, and judge them by their gates")
    for step in (prepare, run):
        step.add_argument("--mirror", default=MIRROR, metavar="URL", help="of Debian's archive")
    run.add_argument("bundles", nargs="+", type=Path, metavar="BUNDLE", help="folders that s2m-edge export wrote")
    processors = ", ".join(f"{row.name} ({row.board})" for row in PROCESSORS)
    run.add_argument("--cpu", default=PROCESSORS[0].name, metavar="NAME", help=f"what is emulated: {processors}")
    run.add_argument("--seconds", type=int, default=SECONDS, metavar="N", help="time limit of a process")
    run.add_argument("--limit", type=int, metavar="N", help="golden inputs that are taken; all if left out")
    run.add_argument("--json", type=Path, metavar="FILE", help="where everything that was found is written")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.step == "prepare":
            console.output.print(f"ready: {prepare_system(chosen.mirror).folder}")
            return 0
        for name in ("seconds", "limit"):
            value = getattr(chosen, name)
            if value is not None and value < 1:
                raise ConfigurationError(f"--{name} is {value}", "Give one or more.")
        with interrupts.listening():  # the emulator is a session of its own: no signal but ours ends it
            try:
                return run_bundles([open_bundle(folder) for folder in chosen.bundles], chosen)
            except KeyboardInterrupt:
                console.print_error("interrupted; nothing was written")
                return interrupts.exit_code()
    except S2MEdgeError as error:
        console.print_error(error)
        return error.exit_code


def run_bundles(bundles: Sequence[Bundle], chosen: argparse.Namespace) -> int:
    """Run all, print the table and what is to be said of its rows; the exit code."""
    processor = find_processor(chosen.cpu)
    if chosen.json is not None:
        require_writable(chosen.json.parent)
    try:
        system = prepare_system(chosen.mirror)
    except NativeBuildError as error:  # what cannot be fetched today says nothing of the bundles
        raise NotExecutedError(f"nothing was executed: {error.cause}", error.remedy) from error
    emulator = Emulator(system, processor, find_cross_build("aarch64"), chosen.seconds)
    version = emulator.version()
    outcomes: list[Outcome] = []
    with console.progress_bar("emulated") as update:
        for index, bundle in enumerate(bundles):
            update(bundle.folder.name, index, len(bundles))
            outcomes.append(execute(bundle, emulator, chosen.limit))
    console.output.print(table_of(outcomes, f"{processor.name} ({processor.board}), emulated by {version}"))
    for outcome in outcomes:
        for reason in outcome.reasons:
            console.output.print(f"{printable(outcome.bundle.folder.name)}: {outcome.verdict}: {printable(reason)}")
    console.output.print(NOTICE)
    if chosen.json is not None:
        write_json(chosen.json, {"emulator": version, "outcomes": [values_of(outcome) for outcome in outcomes]})
    return exit_code(outcomes)


def exit_code(outcomes: Sequence[Outcome]) -> int:
    """1 where an artifact is wrong, else 3 where nothing is known of one, else 0."""
    verdicts = {outcome.verdict for outcome in outcomes}
    return 1 if verdicts & {"breached", "refused"} else 3 if "not executed" in verdicts else 0


def table_of(outcomes: Sequence[Outcome], title: str) -> Table:
    """One row for each."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("runtime", "version", "precision", "images", "largest error", "mean error", "agreement", "verdict"):
        table.add_column(heading, no_wrap=True)
    for outcome in outcomes:
        contract = outcome.bundle.contract
        cells = ["-"] * 4
        if outcome.report is not None:
            summary = outcome.report.to_dict()["summary"]
            keys = ("max_probability_error", "worst_mean_probability_error")
            errors = [f"{summary[key]:.1e}" for key in keys]
            cells = [str(len(outcome.report.images)), *errors, f"{summary['min_mask_agreement']:.5f}"]
        table.add_row(contract.target, outcome.version, contract.precision, *cells, outcome.verdict)
    return table


def values_of(outcome: Outcome) -> dict[str, object]:
    """As JSON."""
    return {
        "bundle": printable(str(outcome.bundle.folder)),
        "processor": outcome.processor.name,
        "version": outcome.version,
        "verdict": outcome.verdict,
        "reasons": list(outcome.reasons),
        "report": None if outcome.report is None else outcome.report.to_dict(),
    }


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
