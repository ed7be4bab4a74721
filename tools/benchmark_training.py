"""`python tools/benchmark_training.py`: a training step on the CPU with and without the native depthwise gradient.

Every round runs one step with PyTorch's own gradient and one with the kernel, in float32 and in bfloat16 autocast, so
that noise meets all alike; then the weight gradient alone at the network's five stages. Medians are printed, and how
often the kernel goes into PyTorch's. The kernel is built where it is not built yet.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial

ERROR_BOUND = 1e-5  # of the largest gradient: what float32 and another order of summation may differ by


def median_milliseconds(contenders: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median wall time of every contender over `rounds` interleaved rounds, after one to warm up."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for index in range(rounds + 1):
        for name, run in contenders.items():
            began = time.perf_counter()
            run()
            if index:
                times[name].append((time.perf_counter() - began) * 1e3)
    return {name: statistics.median(values) for name, values in times.items()}


def main(arguments: list[str]) -> int:
    """Prints both tables; returns 1 where the kernel computes something else, 2 where it cannot be built."""
    parser = argparse.ArgumentParser(description="A training step with and without the native depthwise gradient.")
    parser.add_argument("--size", type=int, default=224, help="height and width in pixels")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2, help="of PyTorch's pool, which the kernel shares")
    options = parser.parse_args(arguments)

    import torch

    from s2m_edge.blocks import DEPTHWISE_KERNELS
    from s2m_edge.config import S2MNetConfig
    from s2m_edge.errors import NativeBuildError
    from s2m_edge.model import S2MNet, probabilities_from_logits
    from s2m_edge.train import depthwise
    from s2m_edge.train.allocator import keep_freed_memory
    from s2m_edge.train.depthwise.kernel import KERNEL_SIZES, SWITCH, try_kernel
    from s2m_edge.train.masl import MorphologyAwareLoss

    try:
        if not depthwise.enable():
            raise NativeBuildError(f"{SWITCH}=0 leaves the kernel out", "Unset it.")
    except NativeBuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    keep_freed_memory()
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    config = S2MNetConfig.preset("paper", size=options.size)
    network = S2MNet(config).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    masl = MorphologyAwareLoss()
    optimizer = torch.optim.AdamW([*network.parameters(), *masl.parameters()], lr=1e-5)
    shape = (options.batch, config.in_channels, options.size, options.size)
    image = torch.rand(shape).contiguous(memory_format=torch.channels_last)
    rows = torch.arange(options.size) - options.size / 2
    disc = (rows[:, None] ** 2 + rows**2 < (options.size / 4) ** 2).float().expand(options.batch, 1, -1, -1)

    def step(half: bool, ours: bool) -> None:
        optimizer.zero_grad(set_to_none=True)
        context = depthwise.FastDepthwise() if ours else nullcontext()
        with torch.autocast("cpu", torch.bfloat16, enabled=half), context:
            logits = network(image)
        masl(probabilities_from_logits(logits.float()), disc).backward()
        optimizer.step()

    print(f"torch {torch.__version__}, threads {options.threads}, {shape}, {options.rounds} rounds, milliseconds")
    print(f"{'training step under MASL':32}{'PyTorch':>10}{'kernel':>10}   faster by")
    for half in (False, True):
        medians = median_milliseconds(
            {"theirs": partial(step, half, False), "ours": partial(step, half, True)}, options.rounds
        )
        print(row("bfloat16 autocast" if half else "float32", medians))
    print(f"{'weight gradient alone':32}{'PyTorch':>10}{'kernel':>10}   faster by")
    for stage, channels in enumerate(config.encoder_channels, start=1):
        size, width = config.stage_size(stage), channels * config.expansion
        for kernel in [kernel for kernel in DEPTHWISE_KERNELS if kernel in KERNEL_SIZES]:
            for dtype in (torch.float32, torch.bfloat16):
                x = (
                    torch.randn(options.batch, width, size, size)
                    .to(dtype)
                    .contiguous(memory_format=torch.channels_last)
                )
                upstream = torch.randn_like(x)
                contenders: dict[str, Callable[[], torch.Tensor]] = {
                    "theirs": partial(depthwise.pytorch_gradient, x, upstream, kernel),
                    "ours": partial(depthwise.weight_gradient, x, upstream, kernel),
                }
                exact, found = depthwise.pytorch_gradient(x.double(), upstream.double(), kernel), contenders["ours"]()
                assert try_kernel(x, upstream, kernel) is not None
                error = ((found - exact).abs().max() / exact.abs().max()).item()
                label = f"{width} x {size} x {size}, {kernel} x {kernel}, {str(dtype).removeprefix('torch.')}"
                if not error <= ERROR_BOUND:
                    print(f"error: the kernel is off by {error:.1e} at {label}", file=sys.stderr)
                    return 1
                print(row(label, median_milliseconds(contenders, options.rounds)))
    return 0


def row(label: str, medians: Mapping[str, float]) -> str:
    return f"{label:32}{medians['theirs']:10.1f}{medians['ours']:10.1f}   {medians['theirs'] / medians['ours']:.2f}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
