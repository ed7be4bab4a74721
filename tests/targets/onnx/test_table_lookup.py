"""The table that the kernel of s2m_edge::QuantizedElu looks up: every level, every remainder, whatever the vectors."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from s2m_edge.native import find_compiler
from s2m_edge.processor import processor_flags

NATIVE = Path(__file__).parents[3] / "targets" / "onnx" / "native"
CROSS, EMULATOR = (
    shutil.which("aarch64-linux-gnu-g++"),
    shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static"),
)

PROGRAM = """
#include <cstdio>
#include <random>
#include <vector>
#include "lookup.hpp"

int main() {
  std::mt19937 random(3);
  s2m_edge::Levels table;
  for (auto& entry : table) entry = static_cast<std::uint8_t>(random());
  for (std::size_t count = 0; count <= 700; count++) {
    const std::size_t begin = count % 5;
    std::vector<std::uint8_t> levels(begin + count), found(begin + count + 1, 77);
    for (std::size_t i = 0; i < levels.size(); i++) levels[i] = static_cast<std::uint8_t>(i * 3 + count);
    s2m_edge::look_up(table, levels.data(), found.data(), begin, levels.size());
    for (std::size_t i = 0; i < found.size(); i++) {
      const bool inside = i >= begin && i < levels.size();
      if (found[i] != (inside ? table[levels[i]] : 77)) return std::printf("%zu of %zu", i, count), 1;
    }
  }
  std::puts("all right");
}
"""


def run(compiler: str, flags: list[str], folder: Path, *before: str) -> str:
    source, program = folder / "check.cpp", folder / "check"
    source.write_text(PROGRAM, encoding="utf-8")
    command = [
        compiler,
        "-std=c++17",
        "-O2",
        "-Wall",
        "-Wextra",
        *flags,
        f"-I{NATIVE}",
        source,
        "-o",
        program,
    ]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return subprocess.run([*before, program], capture_output=True, text=True, check=False, timeout=120).stdout.strip()


@pytest.mark.skipif(find_compiler() is None, reason="no C++ compiler here")
@pytest.mark.parametrize(("feature", "flags"), [("avx512bw", ["-mavx512bw"]), ("avx2", ["-mavx2"]), ("", [])])
def test_every_level_of_every_length(feature: str, flags: list[str], tmp_path: Path):
    if feature and feature not in processor_flags().split():
        pytest.skip(f"this processor has no {feature}")
    compiler = find_compiler()
    assert compiler is not None
    assert run(compiler, flags, tmp_path) == "all right"


@pytest.mark.skipif(
    CROSS is None or EMULATOR is None, reason="no compiler for aarch64, or no QEMU to run what it makes"
)
def test_every_level_of_every_length_on_aarch64(tmp_path: Path):
    assert CROSS is not None
    assert EMULATOR is not None
    assert run(CROSS, ["-static"], tmp_path, EMULATOR) == "all right"
