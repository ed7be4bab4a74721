"""The console runner, run on an image: what needs it is skipped, with the reason, where nothing compiles."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

from s2m_edge.native import build_library, find_cmake, find_compiler

Console = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def console() -> Console:
    """Runs the program with the given words; its exit code and what it printed come back."""
    if find_compiler() is None or find_cmake() is None:
        pytest.skip("no C++ compiler or no CMake: the console runner cannot be built")
    from s2m_edge.targets.executorch.kernel import console_runner

    program = build_library(console_runner())

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        command = [str(program), *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

    return run
