"""Asks a bundle from eight threads that share a runner, and from eight processes, and compares each bit with one alone.

    python tools/stress_threads.py BUNDLE... [--count 8] [--rounds 25]

Each thread and process asks for the bundled pictures in an order of its own. Exits with 1 where an answer differs from
the one that is given when nobody else asks. Prints two lines of figures for each bundle.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import random
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from s2m_edge.deploy.bundle import open_bundle
from s2m_edge.imaging.inputs import read_input
from s2m_edge.samples import sample_images
from s2m_edge.targets.opening import open_runner


def pictures_of(folder: Path) -> list[Any]:
    """The bundled pictures as a bundle's network takes them."""
    preprocessing = open_bundle(folder).contract.preprocessing
    return [read_input(path, preprocessing) for path in sample_images(None)]


def answers(runner: Any, pictures: list[Any], seed: int, rounds: int) -> list[tuple[int, str]]:
    """Which picture was asked for, and the SHA-256 of the answer."""
    order = [index for _ in range(rounds) for index in range(len(pictures))]
    random.Random(seed).shuffle(order)
    return [(index, hashlib.sha256(runner.predict(pictures[index]).tobytes()).hexdigest()) for index in order]


def in_a_process(folder: Path, seed: int, rounds: int) -> list[tuple[int, str]]:
    """The same, with a runner of its own."""
    return answers(open_runner(open_bundle(folder), 1), pictures_of(folder), seed, rounds)


def differing(folder: Path, count: int, rounds: int) -> int:
    """Ask a bundle from so many threads and processes, and print what came. How many answers differ."""
    pictures, runner = pictures_of(folder), open_runner(open_bundle(folder), 1)
    alone = dict(answers(runner, pictures, 0, 1))
    if len(set(alone.values())) != len(pictures):
        raise SystemExit(f"{folder.name} answers different pictures alike, which would hide a mix-up")
    with ThreadPoolExecutor(count) as threads:
        shared = list(threads.map(lambda seed: answers(runner, pictures, seed, rounds), range(count)))
    with multiprocessing.get_context("spawn").Pool(count) as processes:
        apart = processes.starmap(in_a_process, [(folder, seed, rounds) for seed in range(count)], chunksize=1)
    found = 0
    for name, given in (("threads", shared), ("processes", apart)):
        each = [answer for own in given for answer in own]
        other = sum(alone[index] != digest for index, digest in each)
        print(f"{folder.name}: {len(each)} answers to {count} {name}, {other} differ", flush=True)
        found += other
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bundles", nargs="+", type=Path)
    parser.add_argument("--count", type=int, default=8, help="of threads, and of processes")
    parser.add_argument("--rounds", type=int, default=25, help="how often each asks for every picture")
    options = parser.parse_args()
    wrong = sum(differing(folder, options.count, options.rounds) for folder in options.bundles)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
