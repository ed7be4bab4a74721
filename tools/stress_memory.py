"""Predicts over and over with bundles, and opens them over and over, and looks at the memory that the process holds.

    python tools/stress_memory.py BUNDLE... [--predictions 2000] [--openings 25]

Prints, for each bundle, how much the resident memory grows with a prediction, from the second half of them, and with an
opening. Exits with 1 where a prediction costs more than --limit kB, or an opening a tenth of the bundle's size.
Linux: the memory is read from /proc.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from s2m_edge.samples import sample_images
from s2m_edge.targets.predict import load_bundle


def resident() -> int:
    """Bytes that this process holds, after what is free was given back to the system."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def growth(work: Callable[[], object], times: int) -> float:
    """Bytes by which the memory grows each time: the slope over the second half, as the first fills caches."""
    held: list[tuple[int, int]] = []
    every = max(1, times // 100)  # looking takes longer than a small prediction
    for number in range(times):
        work()
        if number >= times // 2 and number % every == 0:
            held.append((number, resident()))
    numbers, bytes_held = np.array(held).T
    return float(np.polyfit(numbers, bytes_held, 1)[0])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bundles", nargs="+", type=Path)
    parser.add_argument("--predictions", type=int, default=2000)
    parser.add_argument("--openings", type=int, default=25)
    parser.add_argument("--limit", type=float, default=4.0, help="kB that a prediction may leave behind")
    options = parser.parse_args()
    picture, leaking = sample_images(None)[0], False
    for folder in options.bundles:
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        opened = load_bundle(folder)
        each = growth(lambda opened=opened: opened.predict(picture), options.predictions)
        del opened
        opening = growth(lambda folder=folder: load_bundle(folder).predict(picture), options.openings)
        leaking |= each > options.limit * 1024 or opening > size / 10
        print(f"{folder.name}: {each:.0f} bytes a prediction over {options.predictions}, ", end="")
        print(f"{opening / 1024:.0f} kB an opening over {options.openings} of {size / 1e6:.1f} MB", flush=True)
    return 1 if leaking else 0


if __name__ == "__main__":
    sys.exit(main())
