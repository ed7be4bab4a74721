"""How long lowering takes as the backends do it by themselves, and with what the toolkit leaves out.

    python tools/benchmark_lowering.py [TARGET ...] [--checkpoint FILE] [--rounds 3]

Left out are copies of PyTorch's records of where nodes come from and most collections of garbage, passes of a backend
that have nothing to do, and a last trace for the type of a few numbers. Both ways in turn, each in a process of its
own, as a command does it, with the backend imported before. Prints the medians in seconds of processor time from the
network to the artifact's file, their ratio, and the processor; exits with 1 where both ways do not write the same
bytes, of a target that writes the same ones each time.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import multiprocessing
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from s2m_edge.checkpoint import load_model, network_spec, read_header
from s2m_edge.deploy.spec import make_spec
from s2m_edge.processor import features_text, processor_name
from s2m_edge.targets import base
from s2m_edge.targets.base import Exporter, LoweringRequest
from s2m_edge.targets.registry import TARGETS, find_target

LEFT_OUT = ("idle_passes_left_out", "last_trace_left_out")
"""What an exporter's module may call to leave work out; `lean_lowering` is every exporter's."""
THEIRS, OURS = "as the backend does it", "as the toolkit does it"


def everything() -> Any:
    """Nothing is left out."""
    return contextlib.nullcontext()


def without_savings(stack: ExitStack, target: str) -> None:
    """Lower as the backend would by itself."""
    stack.enter_context(patch.object(base, "lean_lowering", everything))
    module = sys.modules[type(find_target(target).make_exporter()).__module__]
    for saving in LEFT_OUT:
        if hasattr(module, saving):
            stack.enter_context(patch.object(module, saving, everything))


def lowered(target: str, checkpoint: str | None, way: str) -> tuple[str, float]:
    """SHA-256 of an artifact, and the seconds of processor time that it took."""
    row = find_target(target)
    network, header = load_model(checkpoint), read_header(checkpoint)
    exporter = row.make_exporter()
    _warm(exporter)
    request = LoweringRequest(network, network_spec(header), spectral=row.default_lowering)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        if way == THEIRS:
            without_savings(stack, target)
        began = time.process_time()
        artifact = exporter.export(request, Path(folder))
        took = time.process_time() - began
        files = [artifact] if artifact.is_file() else sorted(path for path in artifact.rglob("*") if path.is_file())
        digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
    return digest, took


def _warm(exporter: Exporter) -> None:
    """Import what the backend imports when it first lowers, by the smallest network that there is."""
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 1, 1)).eval().requires_grad_(False)
    spec = make_spec("warm", height=32, width=32)
    with tempfile.TemporaryDirectory() as folder:
        exporter.export(LoweringRequest(network, spec.of(network)), Path(folder))


def measured(target: str, checkpoint: str | None, rounds: int) -> tuple[dict[str, float], str]:
    """The median of each way, and which line of `SAID` is true of the bytes."""
    seconds: dict[str, list[float]] = {THEIRS: [], OURS: []}
    digests: dict[str, set[str]] = {THEIRS: set(), OURS: set()}
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), max_tasks_per_child=1) as processes:
        for _ in range(rounds):
            for way, times in seconds.items():
                digest, took = processes.submit(lowered, target, checkpoint, way).result()
                digests[way].add(digest)
                times.append(took)
    vary = any(len(found) > 1 for found in digests.values())
    same = digests[THEIRS] == digests[OURS]
    verdict = "same" if same else "vary" if vary else "DIFFER"
    return {way: statistics.median(times) for way, times in seconds.items()}, verdict


SAID = {
    "same": "the same bytes",
    "vary": "bytes that vary from one lowering to the next, either way",
    "DIFFER": "THE BYTES DIFFER",
}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [row.name for row in TARGETS]
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"{', '.join(names)}; all without any")
    parser.add_argument("--checkpoint", help="of a float network; the bundled one without it")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args(arguments)
    failed = False
    for target in given.targets or names:
        if target not in names:
            parser.error(f"there is no target {target}")
        if find_target(target).version() is None:
            print(f"{target}: not measured: it is not installed")
            continue
        medians, verdict = measured(target, given.checkpoint, given.rounds)
        theirs, ours = medians[THEIRS], medians[OURS]
        times = f"{theirs:.1f} s {THEIRS}, {ours:.1f} s {OURS}, ratio {theirs / ours:.2f}"
        print(f"{target}: {times}; {SAID[verdict]}", flush=True)
        failed |= verdict == "DIFFER"
    print(f"{processor_name()}, {features_text()}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
