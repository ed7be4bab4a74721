"""`python tools/benchmark_masl.py`: the share of a training step that MASL takes, beside the same step without it.

Every round runs one training step with MASL, one with the plain mean of the probabilities in its place, and MASL alone
(forward and backward down to the probabilities), so that noise meets all alike; medians are printed. "Alone" waits for
nothing else and is the upper bound; "added" is what the step grew by. On a GPU the step runs in bfloat16 autocast with
channels last, as in training, and the exit code is 1 where MASL alone takes more than 15 % of the step.
"""

from __future__ import annotations

import argparse
import statistics
import sys

BOUND = 0.15


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="The share of a training step that MASL takes.")
    parser.add_argument("--size", type=int, default=352, help="height and width in pixels")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--classes", type=int, default=1, help="1: binary; more: softmax with background")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2, help="of the CPU")
    options = parser.parse_args(arguments)

    import torch

    from s2m_edge.train.step import make_step, masl_times

    torch.set_num_threads(options.threads)
    cuda = torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    times = masl_times(make_step(options.size, options.batch, options.classes, device), options.classes, options.rounds)
    medians = {name: statistics.median(values) for name, values in times.items()}
    whole, without, alone = medians.values()
    name = torch.cuda.get_device_name(device) if cuda else f"CPU, {options.threads} threads"
    precision = "bfloat16 autocast" if cuda else "float32"
    layout = f"{options.batch} x {options.size} x {options.size}, classes {options.classes}"
    print(f"{name}, {precision}, torch {torch.__version__}, {layout}, {options.rounds} rounds")
    for label, values in times.items():
        print(f"{label:15} {medians[label]:9.1f} ms ({min(values):.1f} to {max(values):.1f})")
    print(f"MASL alone is {alone / whole:.1%} of a step; the step grew by {(whole - without) / whole:.1%} of itself")
    if not cuda:
        print(f"The bound of {BOUND:.0%} is set for a GPU; this was a CPU.")
        return 0
    print(f"The bound is {BOUND:.0%}: {'kept' if alone <= BOUND * whole else 'breached'}.")
    return 0 if alone <= BOUND * whole else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
