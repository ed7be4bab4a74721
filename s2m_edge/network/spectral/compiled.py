"""The spectral filter under torch.compile: its matrix products in the open, so that the compiler fuses around them.

The op is opaque to graphs, which is what exporters want of it. A training step on a GPU gains nothing by that: seen as
products, gains and a roll, forward and backward fuse with each other and with the LayerNorm behind them.
`trace_through` asks for it; uncompiled calls, and graphs of torch.export, keep the op and its plain matrix form.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass
class _Tracing:
    """Whether torch.compile traces through the filter in this process."""

    enabled: bool = False


_tracing = _Tracing()


def trace_through() -> None:
    """From now on what torch.compile captures in this process holds the filter's products instead of the op."""
    _tracing.enabled = True


def is_traced() -> bool:
    """Whether the caller is being captured by torch.compile, and asked for with `trace_through`."""
    return _tracing.enabled and torch.compiler.is_dynamo_compiling() and not torch.compiler.is_exporting()
