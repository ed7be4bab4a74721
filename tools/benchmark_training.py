"""`python tools/benchmark_training.py`: a training step on the CPU with and without the native kernels.

Every round runs one step with PyTorch's own operators, one with the depthwise gradient and one with BatchNorm and ELU
as one operation as well, in float32 and in bfloat16 autocast, so that noise meets all alike; then each kernel alone at
the network's five stages. Medians are printed, and how often the kernels go into PyTorch's. They are built where they
are not built yet.

With --profile: images per second beside what a matrix product of the same type does, the loss's share of a step, and
the operators that take the most time, with the kernels.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING

from s2m_edge.train.interleaved import median_milliseconds

if TYPE_CHECKING:
    import torch

ERROR_BOUND = 1e-5  # of the largest gradient: what float32 and another order of summation may differ by


def main(arguments: list[str]) -> int:
    """Prints both tables; returns 1 where the kernel computes something else, 2 where it cannot be built."""
    parser = argparse.ArgumentParser(description="A training step with and without the native kernels.")
    parser.add_argument("--size", type=int, default=224, help="height and width in pixels")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2, help="of PyTorch's pool, which the kernel shares")
    parser.add_argument("--profile", action="store_true", help="where a step's time goes, and nothing else")
    options = parser.parse_args(arguments)

    import torch

    from s2m_edge.deploy.activation import probabilities_from_logits
    from s2m_edge.deploy.arithmetic import multiply_adds
    from s2m_edge.errors import NativeBuildError
    from s2m_edge.network.config import S2MNetConfig
    from s2m_edge.network.model import S2MNet
    from s2m_edge.train import kernels
    from s2m_edge.train.allocator import keep_freed_memory
    from s2m_edge.train.kernels.depthwise import KERNEL_SIZES
    from s2m_edge.train.kernels.native import SWITCH
    from s2m_edge.train.masl import MorphologyAwareLoss

    try:
        if not kernels.enable():
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

    contexts: dict[str, Callable[[], AbstractContextManager[object]]] = {
        "theirs": nullcontext,
        "gradient": kernels.FastDepthwise,
        "ours": lambda: kernels.training_kernels(network),
    }

    def step(half: bool, which: str) -> None:
        optimizer.zero_grad(set_to_none=True)
        context = contexts[which]()
        with torch.autocast("cpu", torch.bfloat16, enabled=half), context:
            logits = network(image)
        masl(probabilities_from_logits(logits.float()), disc).backward()
        optimizer.step()

    def loss_alone() -> None:
        masl(probabilities_from_logits(guess), disc).backward()

    guess = torch.randn(disc.shape, requires_grad=True)
    if options.profile:
        work = 3 * 2 * multiply_adds(network.eval(), shape[1:]) * options.batch  # forward, and two products backward
        network.train()
        for half in (False, True):
            name = "bfloat16 autocast" if half else "float32"
            print(f"{name}, batch {options.batch}, {options.size} x {options.size}, {options.threads} threads")
            for line in profile(partial(step, half, "ours"), loss_alone, half, work, options.batch, options.rounds):
                print(f"  {line}")
        return 0

    print(f"torch {torch.__version__}, threads {options.threads}, {shape}, {options.rounds} rounds, milliseconds")
    print(f"{'training step under MASL':40}{'PyTorch':>10}{'kernels':>10}   faster by   (with the gradient's alone)")
    for half in (False, True):
        medians = median_milliseconds(
            {which: partial(step, half, which) for which in contexts}, options.rounds, warm_up=1
        )
        alone = f"{medians['gradient']:.1f}, {medians['theirs'] / medians['gradient']:.2f}"
        print(f"{row('bfloat16 autocast' if half else 'float32', medians)}        ({alone})")
    print(f"{'weight gradient alone':40}{'PyTorch':>10}{'kernel':>10}   faster by")
    widths = [
        (channels * config.expansion, config.stage_size(stage))
        for stage, channels in enumerate(config.encoder_channels, start=1)
    ]
    for width, size in widths:
        for dtype in (torch.float32, torch.bfloat16):
            for kernel in KERNEL_SIZES:
                if not compare_gradients(options.batch, width, size, kernel, dtype, options.rounds):
                    return 1
    print(f"{'BatchNorm and ELU, both ways':40}{'PyTorch':>10}{'kernel':>10}   faster by")
    for width, size in widths:
        for dtype in (torch.float32, torch.bfloat16):
            if not compare_norms(options.batch, width, size, dtype, options.rounds):
                return 1
    return 0


def random_maps(batch: int, channels: int, size: int, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """A map and what comes back to it, channels last."""
    import torch

    shape = (batch, channels, size, size)
    x, upstream = (torch.randn(shape).to(dtype).contiguous(memory_format=torch.channels_last) for _ in range(2))
    return x, upstream


def compare_gradients(batch: int, channels: int, size: int, kernel: int, dtype: torch.dtype, rounds: int) -> bool:
    """Time the depthwise weight gradient, and print a row; False where the kernel computes something else."""
    from s2m_edge.train import kernels
    from s2m_edge.train.kernels.depthwise import try_kernel

    x, upstream = random_maps(batch, channels, size, dtype)
    contenders: dict[str, Callable[[], torch.Tensor]] = {
        "theirs": partial(kernels.pytorch_gradient, x, upstream, kernel),
        "ours": partial(kernels.weight_gradient, x, upstream, kernel),
    }
    exact = kernels.pytorch_gradient(x.double(), upstream.double(), kernel)
    assert try_kernel(x, upstream, kernel) is not None
    label = f"{channels} x {size} x {size}, {kernel} x {kernel}, {str(dtype).removeprefix('torch.')}"
    if not is_right(label, contenders["ours"](), exact, ERROR_BOUND):
        return False
    print(row(label, median_milliseconds(contenders, rounds, warm_up=1)))
    return True


def compare_norms(batch: int, channels: int, size: int, dtype: torch.dtype, rounds: int) -> bool:
    """Time BatchNorm with ELU, both ways, and print a row; False where the kernel computes something else."""
    import torch
    from torch.nn import functional as F

    from s2m_edge.train.kernels import batch_norm_elu

    x, upstream = random_maps(batch, channels, size, dtype)
    norm = torch.nn.BatchNorm2d(channels).train()

    def run(way: Callable[[torch.nn.BatchNorm2d, torch.Tensor], torch.Tensor | None]) -> torch.Tensor:
        leaf = x.detach().requires_grad_()
        y = way(norm, leaf)
        assert y is not None
        return torch.autograd.grad(y, leaf, upstream)[0]

    wide = x.double().requires_grad_()
    y = F.elu(F.batch_norm(wide, None, None, training=True, eps=norm.eps))
    exact = torch.autograd.grad(y, wide, upstream.double())[0]
    contenders = {"theirs": lambda: run(lambda norm, x: F.elu(norm(x))), "ours": lambda: run(batch_norm_elu)}
    label = f"{channels} x {size} x {size}, {str(dtype).removeprefix('torch.')}"
    if not is_right(label, contenders["ours"](), exact, ERROR_BOUND if dtype == torch.float32 else 2**-7):
        return False
    print(row(label, median_milliseconds(contenders, rounds, warm_up=1)))
    return True


def is_right(label: str, found: torch.Tensor, exact: torch.Tensor, bound: float) -> bool:
    """Whether the largest error is at most `bound` of the largest value; prints what is wrong."""
    error = ((found - exact).abs().max() / exact.abs().max()).item()
    if not error <= bound:
        print(f"error: the kernel is off by {error:.1e} at {label}", file=sys.stderr)
    return error <= bound


def profile(
    step: Callable[[], None], loss: Callable[[], None], half: bool, work: float, batch: int, rounds: int
) -> list[str]:
    """Lines about one way to train: speed, share of the ceiling, the loss's share, the twelve costliest operators.

    Args:
        work: floating-point operations of the convolutions and products of a step.
    """
    import torch

    from s2m_edge.targets.measure.benchmark.ceiling import FLOP, SIDE

    dtype = torch.bfloat16 if half else torch.float32
    a, b = torch.randn(SIDE, SIDE).to(dtype), torch.randn(SIDE, SIDE).to(dtype)
    medians = median_milliseconds({"step": step, "loss": loss, "product": lambda: a @ b}, rounds, warm_up=1)
    ceiling = FLOP / medians["product"] / 1e6
    speed = work / medians["step"] / 1e6
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as found:
        step()
    events = sorted(found.key_averages(), key=lambda event: -event.self_cpu_time_total)
    total = sum(event.self_cpu_time_total for event in events)
    return [
        f"{medians['step']:.0f} ms a step, {batch / medians['step'] * 1e3:.2f} images a second",
        f"{speed:.0f} of {ceiling:.0f} GFLOP/s, which a product of {SIDE} x {SIDE} does: {100 * speed / ceiling:.0f} %",
        f"the loss alone: {medians['loss']:.1f} ms, {100 * medians['loss'] / medians['step']:.1f} % of a step",
        *(
            f"{event.self_cpu_time_total / 1e3:8.1f} ms {100 * event.self_cpu_time_total / total:5.1f} %"
            f" {event.count:5d} x {event.key}"
            for event in events[:12]
        ),
    ]


def row(label: str, medians: Mapping[str, float]) -> str:
    return f"{label:40}{medians['theirs']:10.1f}{medians['ours']:10.1f}   {medians['theirs'] / medians['ours']:.2f}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
