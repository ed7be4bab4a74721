"""The steps in their order, the short and certain ones first; one that fails costs no other."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from s2m_edge import console, interrupts
from s2m_edge.bundled import FLOAT_NAMES
from s2m_edge.checkpoint import locate_checkpoint
from s2m_edge.errors import ConfigurationError, S2MEdgeError, in_one_line
from s2m_edge.train.gpu_day import measure, training
from s2m_edge.train.gpu_day.ledger import Ledger, Result
from s2m_edge.train.gpu_day.parts import unpack
from s2m_edge.train.gpu_day.plan import Plan
from s2m_edge.train.gpu_day.references import measure_bundles, record_references
from s2m_edge.train.gpu_day.versions import describe_machine

TITLES = {
    "machine": "Machine",
    "reference": "Reference on the device",
    "masl": "MASL's share of a step",
    "throughput": "Training throughput",
    "compile": "torch.compile",
    "parity": "Parity of bundles",
    "teacher": "Teacher",
    "student": "S2M-Net, taught",
}
STUDENT_SHARE = 0.9


def run_day(ledger: Ledger, data: Path, bundles: Path | None, plan: Plan) -> int:
    """Every step that is not done yet. Returns 1 where one failed, else 0.

    Raises:
        KeyboardInterrupt: a signal came; what is done is kept.
    """
    device, records = ledger.kind["device"], ledger.folder / "references"
    steps: dict[str, Callable[[], dict[str, Any] | Result]] = {
        "machine": lambda: describe_machine(device),
        "reference": lambda: record_references(
            records, device, plan.pictures, FLOAT_NAMES[:1] if ledger.kind["rehearsal"] else FLOAT_NAMES
        ),
        "masl": lambda: measure.masl_share(plan, device),
        "throughput": lambda: measure.throughput(plan, device),
        "compile": lambda: measure.compile_gain(plan, device),
        "parity": lambda: _parity(bundles, records, device, plan),
        "teacher": lambda: training.train(
            "teacher", training.teacher_recipe(plan), None, plan.teacher_share, data, plan, ledger
        ),
        "student": lambda: _student(data, plan, ledger),
    }
    for name, step in steps.items():
        earlier = ledger.result(name)
        if earlier is not None and earlier.state == "done":
            continue
        console.status.print(f"{TITLES[name]} ...")
        began = time.monotonic()
        result = _outcome(step, ledger)
        spent = time.monotonic() - began + (earlier.seconds if earlier is not None else 0.0)
        result = replace(result, seconds=round(spent, 1))
        ledger.write(name, result, TITLES)
        console.status.print(f"{TITLES[name]}: {result.state}{f' ({result.reason})' if result.reason else ''}")
        if result.state == "unfinished":
            break
    failed = [name for name in steps if (found := ledger.result(name)) is not None and found.state == "failed"]
    console.output.print(f"report: {ledger.folder / 'REPORT.md'}", soft_wrap=True)
    return 1 if failed else 0


def _outcome(step: Callable[[], dict[str, Any] | Result], ledger: Ledger) -> Result:
    if ledger.left_of_call() <= 0:
        return Result("unfinished", {}, _how_to_go_on(ledger))
    try:
        found = step()
    except training.TimeIsUpError:
        return Result("unfinished", {}, _how_to_go_on(ledger))
    except S2MEdgeError as error:
        interrupts.heed(error)
        return Result("failed", {}, str(error))
    except Exception as error:  # a device or a library raises anything, and the rest is still worth having
        interrupts.heed(error)
        return Result("failed", {}, in_one_line(error))
    return found if isinstance(found, Result) else Result("done", found)


def _how_to_go_on(ledger: Ledger) -> str:
    return "call again with the same --out" if ledger.left() > 0 else "call again with more --minutes"


def _parity(bundles: Path | None, records: Path, device: str, plan: Plan) -> Result:
    if bundles is None:
        return Result("skipped", {}, "no --bundles was given")
    values, failures = measure_bundles(bundles, records, device, plan.pictures)
    return Result("failed" if failures else "done", values, "; ".join(failures))


def _student(data: Path, plan: Plan, ledger: Ledger) -> dict[str, Any]:
    earlier = ledger.result("teacher")
    if earlier is None or earlier.state != "done":
        raise ConfigurationError("there is no teacher", "See why it failed; the student is taught by it.")
    with tempfile.TemporaryDirectory(prefix="s2m-edge-teacher-") as scratch:
        unpack(ledger.folder / "training" / "teacher", Path(scratch))
        recipe = training.student_recipe(plan, Path(scratch) / training.FILES[1])
        start = locate_checkpoint(Path("polyp"))
        return training.train("student", recipe, start, STUDENT_SHARE, data, plan, ledger)
