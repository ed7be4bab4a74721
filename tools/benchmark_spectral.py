"""`python tools/benchmark_spectral.py`: the spectral filter alone on the CPU, in three forms, at all five stages.

Each round runs the torch.fft definition, the matrix form and the native kernel one after the other, so that noise meets
all alike; medians are printed in milliseconds, with how often the kernel goes into each of the others. The kernel is
built where it is not built yet.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from functools import partial

from s2m_edge.train.interleaved import median_milliseconds

FORMS = ("torch.fft", "matrix", "kernel")
ERROR_BOUND = 1e-5  # of the largest output: what float32 and another order of summation may differ by


def row(label: str, medians: Mapping[str, float]) -> str:
    """One line of the table: the forms' medians, and the others' as multiples of the kernel's."""
    ratios = ", ".join(f"{medians[name] / medians['kernel']:.1f}" for name in FORMS[:-1])
    return f"{label:24}" + "".join(f"{medians[name]:11.3f}" for name in FORMS) + f"   {ratios}"


def main(arguments: list[str]) -> int:
    """Prints the table; returns 1 where the kernel computes something else, 2 where it cannot be built."""
    parser = argparse.ArgumentParser(description="The spectral filter in three forms at the network's five stages.")
    parser.add_argument("--size", type=int, nargs="+", default=[352], help="the network's height and width in pixels")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch's pool, which the kernel shares")
    options = parser.parse_args(arguments)

    import torch

    from s2m_edge.errors import S2MEdgeError
    from s2m_edge.network.config import S2MNetConfig
    from s2m_edge.network.spectral import dft_spectral_filter, kernel, reference_spectral_filter, spectral_filter
    from s2m_edge.processor import features_text, processor_name

    try:
        configs = [S2MNetConfig.preset("paper", size=size) for size in options.size]
        kernel.enable()
        if not kernel.is_enabled():
            raise S2MEdgeError(f"{kernel.SWITCH}=0 leaves the kernel out", "Unset it.")
    except S2MEdgeError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    torch.set_num_threads(options.threads)
    print(f"{processor_name()}: {features_text()}")
    print(
        f"torch {torch.__version__}, threads {options.threads}, batch {options.batch}, {options.rounds} rounds, float32"
    )
    print(f"{'channels x map, kept':24}" + "".join(f"{name:>11}" for name in FORMS) + "   kernel is faster by")
    generator = torch.Generator().manual_seed(0)
    for config in configs:
        totals: dict[str, float] = dict.fromkeys(FORMS, 0.0)
        for stage, channels in enumerate(config.encoder_channels, start=1):
            size, kept = config.stage_size(stage), config.stage_frequencies(stage)
            x = torch.randn(options.batch, channels, size, size, generator=generator)
            weight = torch.randn(channels, kept, kept, generator=generator)
            forms = (reference_spectral_filter, dft_spectral_filter, spectral_filter)
            with torch.inference_mode():
                expected = reference_spectral_filter(x.double(), weight.double())
                error = ((spectral_filter(x, weight) - expected).abs().max() / expected.abs().max()).item()
                if not error <= ERROR_BOUND:
                    print(f"error: the kernel is off by {error:.1e} at {channels} x {size} x {size}", file=sys.stderr)
                    return 1
                runs = {name: partial(form, x, weight) for name, form in zip(FORMS, forms, strict=True)}
                medians = median_milliseconds(runs, options.rounds)
            print(row(f"{channels} x {size} x {size}, {kept}", medians), flush=True)
            totals = {name: totals[name] + medians[name] for name in FORMS}
        print(row("all five", totals))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
