"""coremltools without its progress bars and the warnings that are expected here; errors still come through."""

from __future__ import annotations

import functools
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# What they would say below ERROR: that Core ML itself is missing on this system, that coremltools 9.0 was not tested
# with this torch, that torchao's CUDA kernels do not load.
_LOGGERS = ("coremltools", "torchao", "torch.utils._pytree", "torch.export")


@contextmanager
def quiet_logs() -> Iterator[None]:
    """Raise the loggers' levels, and hide warnings about deprecated interfaces.

    RuntimeWarning stays: numpy warns so when a weight overflows float16.
    """
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            for category in (UserWarning, DeprecationWarning, FutureWarning):
                warnings.simplefilter("ignore", category)
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


@contextmanager
def quiet_conversion() -> Iterator[None]:
    """`quiet_logs`, and no progress bars while coremltools converts."""
    with quiet_logs():
        from coremltools.converters.mil.frontend.torch import ops
        from coremltools.converters.mil.mil.passes import pass_pipeline

        bars: list[tuple[Any, str]] = [(ops, "_tqdm"), (pass_pipeline, "tqdm")]
        originals = [getattr(module, name) for module, name in bars]
        for (module, name), original in zip(bars, originals, strict=True):
            setattr(module, name, functools.partial(original, disable=True))
        try:
            yield
        finally:
            for (module, name), original in zip(bars, originals, strict=True):
                setattr(module, name, original)
