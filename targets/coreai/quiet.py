"""coreai-torch and the Core AI runtime without their remarks."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator

from s2m_edge.targets.quiet import quiet_backend


@contextlib.contextmanager
def quiet_coreai() -> Iterator[None]:
    """`quiet_backend`, and nothing that coreai-torch prints: the version and a progress bar of its own."""
    with quiet_backend(), contextlib.redirect_stdout(io.StringIO()):
        yield
