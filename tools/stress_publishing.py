"""Publishes folders over and over in a process that is killed at random moments, and looks at what is left.

    python tools/stress_publishing.py --times 10000 [--without-exchange]

After every kill the old folder or the new one has to be there, whole; what else is left has to be gone after the next
run's repair. Where folders cannot be exchanged in one step, the old one may have to be put back first. Exits with 1
where anything was lost. Prints one line of figures.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from s2m_edge import files
from s2m_edge.files import FolderKind, publish_folder, staged_folder
from s2m_edge.leftovers import repair

NAMES = tuple(f"part-{number}" for number in range(2))
KIND = FolderKind("a folder of this test", lambda folder: NAMES)
LONGEST = 0.012
"""Seconds that a process may live at most, once it has begun to publish: several folders."""


@dataclass
class Outcome:
    """What was found after the kills: folders that were whole at once, put back by the repair, or lost; leftovers."""

    whole: int = 0
    put_back: int = 0
    lost: int = 0
    left_over: int = 0


def publish_forever(place: Path, begun: int) -> None:
    """Publish one generation after the other; a byte on `begun` says when the first is there."""
    generation = 0
    while True:
        generation += 1
        with staged_folder(place, KIND) as stage:
            for name in NAMES:
                (stage / name).write_text(f"generation {generation}\n")
            publish_folder(stage, place, KIND)
        if generation == 1:
            os.write(begun, b"1")


def is_whole(place: Path) -> bool:
    """Whether all files of one generation are there, and nothing else."""
    if sorted(path.name for path in place.glob("*")) != sorted(NAMES):
        return False
    texts = {(place / name).read_text() for name in NAMES}
    return len(texts) == 1 and texts.pop().endswith("\n")


def stress(times: int, folder: Path, seed: int = 0) -> Outcome:
    """Kill so many publishing processes, each at a random moment."""
    os.fsync = lambda handle: None  # a kill is no power cut; without the waiting more kills land where it matters
    chance, outcome, place = random.Random(seed), Outcome(), folder / "bundle"
    for _ in range(times):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # the repairs' notes
            try:
                publish_forever(place, writer)
            finally:
                os._exit(1)
        os.close(writer)
        if not os.read(reader, 1):
            raise SystemExit("a process ended before it had published anything")
        time.sleep(chance.random() * LONGEST)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reader)
        whole = is_whole(place)
        repair(folder)
        repaired = is_whole(place)
        outcome.whole += whole
        outcome.put_back += repaired and not whole
        outcome.lost += not repaired
        outcome.left_over += sum(1 for path in folder.iterdir() if path != place)
    return outcome


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--times", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--without-exchange", action="store_true", help="as where a drive cannot exchange folders")
    options = parser.parse_args()
    if options.without_exchange:
        files.exchange = lambda first, second: False  # type: ignore[assignment]
    with tempfile.TemporaryDirectory() as folder:
        found = stress(options.times, Path(folder), options.seed)
    print(f"{options.times} kills: {found.whole} whole, {found.put_back} put back, {found.lost} lost, ", end="")
    print(f"{found.left_over} left over")
    needless = found.put_back if not options.without_exchange and sys.platform in ("linux", "darwin") else 0
    return 1 if found.lost or found.left_over or needless else 0


if __name__ == "__main__":
    sys.exit(main())
