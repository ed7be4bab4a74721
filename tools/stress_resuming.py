"""Kills a small training at random moments, goes on with it, and compares the result with an undisturbed one.

    python tools/stress_resuming.py --times 20 [--seed 0]

The state at the end (weights, averaged weights, optimizer, schedule) and the best checkpoint have to be the same to the
last bit. Exits with 1 where they are not. Prints one line of figures.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from s2m_edge.checkpoint import load_model
from s2m_edge.train.fit import Machine, train_run
from s2m_edge.train.recipe import Phase, Recipe
from s2m_edge.train.run import Run, begin_run, open_run
from support import write_sample_folder

CPU = Machine(accelerator="cpu", devices="1", sheet_every=1000)
RECIPE = Recipe(
    "tiny", "Tiny", ("polyp",), (Phase(96, 4, 2, 1e-3),), domain="polyp", loss="dice_ce", average_decay=0.5, seed=3
)


def in_a_process(work: Callable[[], object]) -> int:
    """Begin to do something in a copy of this process, which has computed nothing yet. Its identity."""
    child = os.fork()
    if child:
        return child
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        result = work()
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        os._exit(1)
    os._exit(0 if result is not False else 3)


def code(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def same(one: Run, other: Run) -> bool:
    """Whether two runs ended in the same state, to the last bit."""
    import torch

    def equal(first: object, second: object) -> bool:
        if isinstance(first, torch.Tensor):
            return isinstance(second, torch.Tensor) and torch.equal(first, second)
        if isinstance(first, dict) and isinstance(second, dict):
            return first.keys() == second.keys() and all(equal(first[key], second[key]) for key in first)
        if isinstance(first, list) and isinstance(second, list):
            return len(first) == len(second) and all(map(equal, first, second))
        return first == second

    parts = ("epoch", "state_dict", "current_model_state", "lr_schedulers", "optimizer_states")
    states = [torch.load(run.state(1), weights_only=True) for run in (one, other)]
    weights = [dict(load_model(run.best(1)).state_dict()) for run in (one, other)]
    return all(equal(states[0][part], states[1][part]) for part in parts) and equal(*weights)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    chance, alike, kills = random.Random(options.seed), 0, 0
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        data = write_sample_folder(place / "data", ("train",) * 4 + ("val",))

        def begun(folder: str) -> Run:
            run = Run(place / folder, RECIPE, data, None, None)
            begin_run(run)
            return run

        whole, start = begun("whole"), time.monotonic()
        if code(in_a_process(lambda: train_run(whole, CPU))):
            return 2
        lasts = time.monotonic() - start
        for number in range(options.times):
            run = begun(f"run-{number}")
            child = in_a_process(lambda run=run: train_run(run, CPU))
            time.sleep(chance.uniform(0.2, 0.95) * lasts)
            os.kill(child, signal.SIGKILL)
            kills += code(child) == -signal.SIGKILL
            if not run.result(1).exists() and code(in_a_process(lambda run=run: train_run(open_run(run.folder), CPU))):
                return 2
            alike += code(in_a_process(lambda run=run: same(run, whole))) == 0
    print(f"{options.times} trainings, {kills} killed before their end: {alike} the same to the last bit")
    return 0 if alike == options.times else 1


if __name__ == "__main__":
    sys.exit(main())
