"""The kernels of the MRF-SE block and of the norm over channels keep to their memory and their definition, whatever the
processor's vectors."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from s2m_edge.native import KERNEL_FOLDER, RECEPTIVE_FIELD_FOLDER, find_compiler
from support import runs_avx2

COMPILER = find_compiler()
SOURCE = RECEPTIVE_FIELD_FOLDER / "test" / "fuzz.cpp"

pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C++ compiler here: the kernels cannot be built")


def fuzz(folder: Path, flags: list[str], rounds: int) -> subprocess.CompletedProcess[str]:
    """Build the program with `flags`, and run it."""
    assert COMPILER is not None
    program = folder / "fuzz"
    command = [COMPILER, "-std=c++17", "-O1", *flags, "-pthread", f"-I{KERNEL_FOLDER}", f"-I{RECEPTIVE_FIELD_FOLDER}"]
    built = subprocess.run([*command, str(SOURCE), "-o", str(program)], capture_output=True, text=True, check=False)
    if built.returncode and "sanitize" in built.stderr:
        pytest.skip(f"this compiler has no sanitizer: {built.stderr.strip().splitlines()[0]}")
    assert built.returncode == 0, built.stderr
    return subprocess.run([str(program), str(rounds), "7"], capture_output=True, text=True, check=False, timeout=300)


def test_random_shapes_under_sanitizers(tmp_path: Path):
    flags = ["-g", "-march=native", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    done = fuzz(tmp_path, flags, 12)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "12 shapes right" in done.stdout


@pytest.mark.parametrize(
    "flags",
    [
        pytest.param(["-mavx2", "-mfma", "-mf16c"], id="AVX2"),
        pytest.param([], id="no more than every processor has"),
        pytest.param(["-DS2M_EDGE_PLAIN_VECTORS"], id="a compiler without vector types"),
    ],
)
def test_random_shapes_with_the_vectors_of_other_processors(flags: list[str], tmp_path: Path):
    if "-mavx2" in flags and not runs_avx2():
        pytest.skip("this processor has no AVX2, FMA and F16C")
    done = fuzz(tmp_path, [*flags, "-ffp-contract=fast"], 30)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "30 shapes right" in done.stdout
