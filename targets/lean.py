"""Lowering without work that changes nothing: copies of what nobody changes, and looking for garbage all the time."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from s2m_edge.process_wide import ProcessWide

THRESHOLDS = (50_000, 20, 20)
"""Of Python's garbage collector, for its three generations. By its own (700, 10, 10) it looks at all objects of a graph
again and again while the graph grows, though hardly any of them is garbage."""


@contextmanager
def lean_lowering() -> Iterator[None]:
    """What every exporter lowers within."""
    with shared_provenance(), rare_collections():
        yield


def _share_provenance() -> Callable[[], None]:
    from torch.fx.traceback import NodeSource

    kind: Any = NodeSource
    kind.__deepcopy__ = lambda self, memo: self

    def take_back() -> None:
        del kind.__deepcopy__

    return take_back


shared_provenance = ProcessWide(_share_provenance)
"""PyTorch's records of a node's origins (`NodeSource`) are shared within where they would be copied.

Each time a program is traced anew, every node gets a record that holds a deep copy of the records before it (PyTorch
2.13). Nothing changes a record once it is made, so that sharing them gives the same program and the same history.
"""


def _collect_rarely() -> Callable[[], None]:
    before = gc.get_threshold()
    if before[0] > 0:  # 0 is off
        gc.set_threshold(*(max(own, rare) for own, rare in zip(before, THRESHOLDS, strict=True)))
    return lambda: gc.set_threshold(*before)


rare_collections = ProcessWide(_collect_rarely)
"""Garbage is collected less often within; a collector that is off, or rarer by somebody's choice, stays so."""
