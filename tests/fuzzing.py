"""Programs that run native kernels over random shapes, under sanitizers and with the vectors of other processors."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from s2m_edge.native import KERNEL_FOLDER, find_compiler
from support import runs_avx2

SANITIZERS = ["-g", "-march=native", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
THREAD_SANITIZER = ["-g", "-march=native", "-fsanitize=thread", "-fno-sanitize-recover=all"]
# What is compiled for this processor has one width of vectors; portable builds and other compilers have others.
OTHER_VECTORS = [
    pytest.param(["-mavx2", "-mfma", "-mf16c"], id="AVX2"),
    pytest.param([], id="no more than every processor has"),
    pytest.param(["-DS2M_EDGE_PLAIN_VECTORS"], id="a compiler without vector types"),
]


def find_wrong_shapes(source: Path, flags: list[str], rounds: int, folder: Path, *includes: Path) -> None:
    """Build the program `source` with `flags` in `folder`, run it over `rounds` shapes, and fail where one is wrong."""
    compiler, program = find_compiler(), folder / "fuzz"
    assert compiler is not None
    if "-mavx2" in flags and not runs_avx2():
        pytest.skip("this processor has no AVX2, FMA and F16C")
    command = [compiler, "-std=c++17", "-O1", "-ffp-contract=fast", *flags, "-pthread"]
    command += [f"-I{include}" for include in (KERNEL_FOLDER, *includes)]
    built = subprocess.run([*command, str(source), "-o", str(program)], capture_output=True, text=True, check=False)
    if built.returncode and "sanitize" in built.stderr:
        pytest.skip(f"this compiler has no such sanitizer: {built.stderr.strip().splitlines()[0]}")
    assert built.returncode == 0, built.stderr
    done = subprocess.run([str(program), str(rounds), "7"], capture_output=True, text=True, check=False, timeout=300)
    if "unexpected memory mapping" in done.stderr:
        pytest.skip("this kernel's address-space layout is not one that the thread sanitizer takes")
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"{rounds} shapes right" in done.stdout
