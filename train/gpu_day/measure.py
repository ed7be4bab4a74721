"""The short steps: MASL's share of a step, throughput beside a measured ceiling, what torch.compile brings."""

from __future__ import annotations

import statistics
from typing import Any

import torch

from s2m_edge.train.gpu_day.plan import Plan
from s2m_edge.train.gpu_day.versions import compile_network
from s2m_edge.train.interleaved import median_milliseconds
from s2m_edge.train.step import make_step, masl_times


def masl_share(plan: Plan, device: str) -> dict[str, Any]:
    """Milliseconds of a step with and without MASL and of MASL alone; shares of the step with it."""
    times = masl_times(make_step(plan.size, plan.batch, 1, torch.device(device)), 1, plan.rounds)
    whole, without, alone = (statistics.median(values) for values in times.values())
    return {
        "step, ms": whole,
        "step without MASL, ms": without,
        "MASL alone, ms": alone,
        "MASL alone, share of the step": alone / whole,
        "added by MASL, share of the step": (whole - without) / whole,
    }


def throughput(plan: Plan, device: str) -> dict[str, Any]:
    """Pictures per second of a training step, and its arithmetic beside that of a large bfloat16 matrix product.

    Counted are convolutions and matrix products of the graph, forward and backward; the spectral filter is one opaque
    operation in it and counts nothing, as do all elementwise operations, so that the share is a lower bound.
    """
    from torch.utils.flop_counter import FlopCounterMode

    step = make_step(plan.size, plan.batch, 1, torch.device(device))
    with FlopCounterMode(display=False) as counter:
        step.run()
    operations = counter.get_total_flops()
    milliseconds = median_milliseconds({"step": step.run}, plan.rounds, wait=step.wait)["step"]
    one, other = (torch.randn(plan.product, plan.product, device=device, dtype=torch.bfloat16) for _ in range(2))
    product = median_milliseconds({"product": lambda: one @ other}, plan.rounds, wait=step.wait)["product"]
    ceiling = 2 * plan.product**3 / product * 1e3
    reached = operations / milliseconds * 1e3
    return {
        "pictures per second": plan.batch / milliseconds * 1e3,
        "precision": "bfloat16 autocast" if device == "cuda" else "float32",
        "step, ms": milliseconds,
        "TFLOP per step": operations / 1e12,
        "TFLOP/s": reached / 1e12,
        "ceiling (bfloat16 matrix product), TFLOP/s": ceiling / 1e12,
        "share of the ceiling": reached / ceiling,
        "peak memory, GiB": torch.cuda.max_memory_allocated() / 2**30 if device == "cuda" else "not measured",
    }


def compile_gain(plan: Plan, device: str) -> dict[str, Any]:
    """A step as it is and under torch.compile, in turn; how often the compiled one goes into the other."""
    plain = make_step(plan.size, plan.batch, 1, torch.device(device))
    compiled = make_step(plan.size, plan.batch, 1, torch.device(device))
    compile_network(compiled.network, plan.compiler)
    found = median_milliseconds({"plain": plain.run, "compiled": compiled.run}, plan.rounds, wait=plain.wait)
    return {
        "backend": plan.compiler,
        "step, ms": found["plain"],
        "compiled step, ms": found["compiled"],
        "faster by": found["plain"] / found["compiled"],
    }
