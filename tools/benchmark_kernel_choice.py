"""`python tools/benchmark_kernel_choice.py BUNDLE`: one OpenVINO bundle run in every way that `kernel_choice` knows.

Beside the plugin's own choice, interleaved, with the instruction sets and the ceiling of the same run. With
ONEDNN_MAX_CPU_ISA=AVX2 the convolutions of a newer processor keep to AVX2 (reductions and resizing do not: those
kernels ask the processor itself). Returns 1 where an answer moves.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from s2m_edge.train.interleaved import median_milliseconds

ERROR_BOUND = 1e-4  # of a probability: the gate of float32


def main(arguments: list[str]) -> int:
    """Prints a row for each way; 2 where the bundle cannot be opened."""
    parser = argparse.ArgumentParser(description="Every way to run a float OpenVINO bundle on the CPU, interleaved.")
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="of the target openvino, float32 or float16")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(arguments)

    import numpy as np

    from s2m_edge.deploy.bundle import open_bundle
    from s2m_edge.errors import S2MEdgeError
    from s2m_edge.processor import features_text, processor_name
    from s2m_edge.targets.measure.benchmark.ceiling import FLOP, MatrixProduct
    from s2m_edge.targets.openvino.kernel_choice import CHOICES, LIMIT, UNKNOWN, Choice, choice_for, features_in_use
    from s2m_edge.targets.openvino.run import OpenVINORunner

    class Chosen(OpenVINORunner):
        """A runner that runs the model in one way, whatever processor this is."""

        way = UNKNOWN

        def choice(self) -> Choice:
            return self.way

    ways = {"the plugin's own choice": UNKNOWN, **{f"as for {choice.feature}": choice for choice in CHOICES}}
    try:
        bundle = open_bundle(options.bundle)
        contract = bundle.contract
        runners = {}
        for name, way in ways.items():
            runner = type("Chosen", (Chosen,), {"way": way})
            runners[name] = runner(
                bundle.artifact, bundle.interface, contract.preprocessing, contract.precision, options.threads
            )
    except S2MEdgeError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    picture = np.random.default_rng(0).integers(0, 256, contract.preprocessing.fitted_shape, dtype=np.uint8)
    answers = {name: runner.predict(picture) for name, runner in runners.items()}
    product = MatrixProduct(options.threads)
    medians = median_milliseconds(
        {"product": product.run, **{name: partial(runner.predict, picture) for name, runner in runners.items()}},
        options.rounds,
    )
    in_use = features_in_use()
    print(f"{processor_name()}: {features_text()}; convolutions use {features_text(in_use)} ({LIMIT})")
    print(f"{options.rounds} rounds, {options.threads} threads; ceiling {FLOP / medians['product'] / 1e6:.0f} GFLOP/s")
    own = next(iter(answers))
    moved = False
    for name, answer in answers.items():
        error = float(np.abs(answer - answers[own]).max())
        chosen = " <- chosen here" if ways[name] == choice_for(in_use) else ""
        print(f"{name:26}{medians[name]:8.1f} ms {medians[name] / medians[own]:7.3f}  error {error:.1e}{chosen}")
        moved |= not error <= ERROR_BOUND
    return int(moved)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
