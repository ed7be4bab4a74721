"""Keeping freed memory: on glibc, large tensors are unmapped when freed and faulted in again at the next step.

Measured on two cores, batch 16 at 128 x 128: from 4.1 to between 6.3 and 8.0 images per second in training, with the
same two settings given through glibc's environment variables; the results do not change.
"""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4


def keep_freed_memory() -> bool:
    """Tell glibc to reuse large freed blocks in this process; False where the C library is another one."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_MMAP_MAX, 0)) and bool(mallopt(_TRIM_THRESHOLD, 2**31 - 1))
