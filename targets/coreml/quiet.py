"""coremltools without its progress bars."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from s2m_edge.targets.quiet import quiet_backend


@contextmanager
def quiet_conversion() -> Iterator[None]:
    """`quiet_backend`, and no progress bars while coremltools converts or compresses."""
    with quiet_backend():
        from coremltools.converters.mil.frontend.torch import ops
        from coremltools.converters.mil.mil.passes import pass_pipeline
        from coremltools.optimize.coreml import _quantization_passes

        bars: list[tuple[Any, str]] = [(ops, "_tqdm"), (pass_pipeline, "tqdm"), (_quantization_passes, "tqdm")]
        originals = [getattr(module, name) for module, name in bars]
        for (module, name), original in zip(bars, originals, strict=True):
            setattr(module, name, functools.partial(original, disable=True))
        try:
            yield
        finally:
            for (module, name), original in zip(bars, originals, strict=True):
                setattr(module, name, original)
