"""Damages files at random and reads them in Python: every kind of tools/damaged_files.py.

    python tools/stress_readers.py --files 20000 [--seed 0] [--kind guards --kind recipes]
    python tools/stress_readers.py --minutes 60

Each has to be read, or refused by an error of ours in one line, in 6 GB of memory. What else happens is printed, and
the exit code is 1 then. Prints one line of figures for each kind.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import resource
import sys
import tempfile
import time
import warnings
from pathlib import Path

from damaged_files import KINDS, Kind, damaged
from s2m_edge import console
from s2m_edge.errors import S2MEdgeError

MOST_MEMORY = 6 * 2**30


def try_files(name: str, kind: Kind, folder: Path, chance: random.Random, files: int, seconds: float) -> int:
    """Read damaged files of a kind, so many or for so long. How many faults were found; they are printed."""
    read = refused = faults = 0
    until = time.monotonic() + seconds
    path = folder / kind.file
    for number in range(files):
        if time.monotonic() > until:
            break
        path.write_bytes(damaged(chance.choice(kind.contents), chance))
        try:
            kind.read(path)
            read += 1
        except S2MEdgeError as error:
            refused += 1
            if "\n" in str(error):
                faults += 1
                print(f"{name}, file {number}: more than one line: {error!r}")
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            faults += 1
            print(f"{name}, file {number}: {type(error).__name__}: {str(error)[:200]}")
    print(f"{name}: {read} read, {refused} refused", flush=True)
    return faults


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--files", type=int, default=3000, help="of each kind")
    parser.add_argument("--minutes", type=float, default=None, help="instead: of all kinds together, shared equally")
    parser.add_argument("--kind", action="append", choices=sorted(KINDS), help="one kind alone; may be repeated")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable()
    console.status.file = open(os.devnull, "w")  # noqa: SIM115 - notes of a reader are not what is looked at
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    chance, faults = random.Random(options.seed), 0
    names = options.kind or list(KINDS)
    files, seconds = options.files, float("inf")
    if options.minutes is not None:
        files, seconds = sys.maxsize, options.minutes * 60 / len(names)
    for name in names:
        with tempfile.TemporaryDirectory() as made, tempfile.TemporaryDirectory() as place:
            faults += try_files(name, KINDS[name](Path(made)), Path(place), chance, files, seconds)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
