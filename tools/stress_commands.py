"""Kills commands with SIGKILL at random moments, and looks at the files that they leave.

    python tools/stress_commands.py BUNDLE --times 100 [--seed 0]

`predict` writes masks and overlays, `average` a checkpoint. Every file under its name has to be whole (a picture that
decodes, a checkpoint that opens), and hidden files that killed processes leave are gone after the next run. Exits with
1 otherwise. Prints one line of figures.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from s2m_edge.checkpoint import load_model
from s2m_edge.errors import S2MEdgeError
from s2m_edge.imaging.read import read_image
from s2m_edge.leftovers import FILE_MOMENT
from s2m_edge.samples import sample_images

COMMAND = [sys.executable, "-m", "s2m_edge.cli.main"]


def is_whole(path: Path) -> bool:
    """Whether a file can be read to its end."""
    try:
        load_model(path) if path.suffix == ".safetensors" else read_image(path)
    except S2MEdgeError as error:
        print(error)
        return False
    return True


def run(words: list[str], after: float | None) -> bool:
    """Run a command, and kill it after so many seconds if it still runs. Whether it was killed."""
    process = subprocess.Popen([*COMMAND, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return True
    if process.returncode:
        raise SystemExit(f"{' '.join(words)} ended with {process.returncode}")
    return False


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    chance, kills, looked_at, halves = random.Random(options.seed), 0, 0, 0
    with tempfile.TemporaryDirectory() as name:
        out = Path(name) / "out"
        pictures = [str(path) for path in sample_images(None)]
        commands = [
            ["predict", str(options.bundle), *pictures, "--out", str(out)],
            ["average", "polyp", "polyp", "--out", str(out / "x.safetensors")],
        ]
        lasts: list[float] = []
        for words in commands:
            start = time.monotonic()
            run(words, None)
            lasts.append(time.monotonic() - start)
        names = {path.name for path in out.iterdir()}
        for _ in range(options.times):
            which = chance.randrange(len(commands))
            kills += run(commands[which], chance.uniform(0.4, 1.0) * lasts[which])
            found = [path for path in out.iterdir() if path.name in names]
            looked_at += len(found)
            halves += sum(not is_whole(path) for path in found)
            for path in found:
                if chance.random() < 0.5:
                    path.unlink()
        time.sleep(FILE_MOMENT + 1)  # a younger file may be one that has no lock yet
        for words in commands:
            run(words, None)
        left_over = sorted(path.name for path in out.iterdir() if path.name not in names)
    print(f"{options.times} commands, {kills} killed: {looked_at} files looked at, {halves} not whole, ", end="")
    print(f"{len(left_over)} left over")
    return 1 if halves or left_over else 0


if __name__ == "__main__":
    sys.exit(main())
