"""How long lowering to ExecuTorch takes with all of XNNPACK's passes, and without those that have nothing to do.

    python tools/benchmark_lowering.py [CHECKPOINT] [--rounds 3]

Both in turn, each in a process of its own, as a command does it. Prints the medians in seconds of processor time, from
the exported program to ExecuTorch's, their ratio, and the processor; exits with 1 where the two programs are not the
same to the byte.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any
from unittest.mock import patch

import torch

from s2m_edge.checkpoint import load_model
from s2m_edge.processor import features_text, processor_name
from s2m_edge.targets.executorch import export
from s2m_edge.targets.executorch.export import lower_to_xnnpack, prepare_for_xnnpack
from s2m_edge.targets.executorch.passes import idle_passes_left_out

WAYS: dict[str, Callable[[], Any]] = {"all passes": contextlib.nullcontext, "without idle ones": idle_passes_left_out}


def lowered(checkpoint: str | None, way: str) -> tuple[str, float]:
    """SHA-256 of a program, and the seconds of processor time from the exported program to it."""
    import executorch.exir  # noqa: F401 - which takes seconds, with all passes and without

    network = load_model(checkpoint)
    image = torch.zeros(1, network.config.in_channels, network.config.size, network.config.size)
    with torch.no_grad():
        program = torch.export.export(prepare_for_xnnpack(network, image), (image,), strict=False)
    with patch.object(export, "idle_passes_left_out", WAYS[way]):
        began = time.process_time()
        made = lower_to_xnnpack(program).buffer
        took = time.process_time() - began
    return hashlib.sha256(bytes(made)).hexdigest(), took


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", nargs="?", help="of a float network; the bundled one without it")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args(arguments)
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    programs = set()
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), max_tasks_per_child=1) as processes:
        for _ in range(given.rounds):
            for way in WAYS:
                program, took = processes.submit(lowered, given.checkpoint, way).result()
                programs.add(program)
                seconds[way].append(took)
    medians = {name: statistics.median(each) for name, each in seconds.items()}
    print(", ".join(f"{name} {median:.1f} s" for name, median in medians.items()), end="; ")
    print(f"ratio {medians['all passes'] / medians['without idle ones']:.2f}; {processor_name()}, {features_text()}")
    print("the programs are the same to the byte" if len(programs) == 1 else "THE PROGRAMS DIFFER")
    return int(len(programs) > 1)


if __name__ == "__main__":
    sys.exit(main())
