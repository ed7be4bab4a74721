"""A process that finds an older processor than there is, in all its threads, and a fault that stays one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from s2m_edge.processor import processor_flags
from s2m_edge.targets.measure.benchmark.instruction_sets import INSTRUCTION_SETS
from s2m_edge.targets.measure.benchmark.older_processor import older_environment, still_seen

AVX2 = next(entry for entry in INSTRUCTION_SETS if entry.name == "avx2")
trapped = pytest.mark.skipif(
    not older_environment(AVX2),
    reason="CPUID cannot be trapped here: no cpuid_fault, no x86-64 Linux, or no compiler or CMake",
)


def run(program: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **older_environment(AVX2)}
    return subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120)


@trapped
def test_libraries_find_what_is_left_and_nothing_that_is_hidden():
    program = f"""
import threading, numpy
from numpy._core._multiarray_umath import __cpu_features__ as found
from s2m_edge.targets.measure.benchmark.older_processor import still_seen
names = {list(AVX2.without)}
threads = []
thread = threading.Thread(target=lambda: threads.append(still_seen(names)))
thread.start(); thread.join()
print(found["AVX2"], [name for name, has in found.items() if has and "AVX512" in name], still_seen(names), threads,
      still_seen(["avx2"]))
"""
    done = run(program)
    assert done.stdout.split(maxsplit=1)[1].strip() == "[] [] [[]] ['avx2']", done.stderr
    assert done.stdout.startswith(str("avx2" in processor_flags().split()))


@trapped
def test_another_fault_ends_the_process_as_it_always_did():
    assert run("import ctypes; ctypes.string_at(8)").returncode == -signal.SIGSEGV


@trapped
def test_a_handler_of_the_process_gets_the_faults_that_are_not_the_instructions():
    program = """
import faulthandler, sys
from s2m_edge.targets.measure.benchmark.older_processor import still_seen
faulthandler.enable(sys.stderr)
print(still_seen(["avx512f"]), flush=True)
import ctypes; ctypes.string_at(8)
"""
    done = run(program)
    assert done.returncode == -signal.SIGSEGV
    assert done.stdout == "[]\n"
    assert "Fatal Python error: Segmentation fault" in done.stderr


@trapped
def test_a_compiler_compiles_for_what_is_left():
    program = "import subprocess; subprocess.run(['c++', '-march=native', '-dM', '-E', '-x', 'c++', '/dev/null'])"
    done = run(program)
    assert "__AVX512F__" not in done.stdout
    assert "__x86_64__" in done.stdout, done.stderr


def test_a_process_of_its_own_hides_nothing():
    assert still_seen(["avx512f"]) is None
    assert "s2m_edge_older_processor" not in os.environ.get("LD_PRELOAD", "")
