"""Where each node of a program comes from, told without copying the whole history at every step."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_lock = threading.Lock()
_inside = 0


@contextmanager
def shared_provenance() -> Iterator[None]:
    """PyTorch's records of a node's origins (`NodeSource`) are shared within where they would be copied.

    Each time a program is traced anew, every node gets a record that holds a deep copy of the records before it
    (PyTorch 2.13). Nothing changes a record once it is made, so that sharing them gives the same program and the same
    history. What is changed is the whole process's, and what it was once the last thread has left.
    """
    global _inside
    from torch.fx.traceback import NodeSource

    kind: Any = NodeSource
    with _lock:
        _inside += 1
        if _inside == 1:
            kind.__deepcopy__ = lambda self, memo: self
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                del kind.__deepcopy__
