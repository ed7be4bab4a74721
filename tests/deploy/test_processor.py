"""What the processor is and can, in the words of each system."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from s2m_edge import processor

X86 = """processor\t: 0
model name\t: A Xeon
flags\t\t: fpu sse2 sse4_2 avx2 avx512f avx512_vnni amx_tile

processor\t: 1
model name\t: another
flags\t\t: fpu
"""
ARM = "processor\t: 0\nFeatures\t: fp asimd asimddp i8mm\n\nHardware\t: A board\n"
CACHED = (processor.processor_name, processor.processor_features, processor.features_known)


@pytest.fixture(autouse=True)
def afresh() -> Iterator[None]:
    """What is remembered of this machine is forgotten before and after."""
    for function in CACHED:
        function.cache_clear()
    yield
    for function in CACHED:
        function.cache_clear()


def on_system(monkeypatch: pytest.MonkeyPatch, name: str, cpu_info: Path, sysctl: str = "") -> None:
    answer = subprocess.CompletedProcess([], 0, sysctl, "")
    monkeypatch.setattr(sys, "platform", name)
    monkeypatch.setattr(processor, "_CPU_INFO", cpu_info)
    monkeypatch.setattr(subprocess, "run", lambda *arguments, **options: answer)


@pytest.mark.parametrize(
    ("text", "name", "features"),
    [
        (X86, "A Xeon", {"avx2", "avx512f", "avx512_vnni", "amx_tile"}),
        (ARM, "A board", {"asimd", "dotprod", "i8mm"}),
        (X86.replace("avx2 avx512f avx512_vnni amx_tile", ""), "A Xeon", set()),
    ],
)
def test_linux_says_it_of_the_first_processor(monkeypatch, tmp_path, text, name, features):
    (tmp_path / "cpuinfo").write_text(text)
    on_system(monkeypatch, "linux", tmp_path / "cpuinfo")
    assert processor.features_known()
    assert (processor.processor_name(), processor.processor_features()) == (name, features)
    assert processor.features_text().startswith("none of avx2") == (not features)


@pytest.mark.parametrize(
    ("answer", "features"),
    [
        ("hw.optional.avx2_0: 1\nhw.optional.avx512f: 0\n", {"avx2"}),
        ("hw.optional.AdvSIMD: 1\nhw.optional.arm.FEAT_DotProd: 1\n", {"asimd", "dotprod"}),
    ],
)
def test_macos_says_it_key_by_key(monkeypatch, tmp_path, answer, features):
    on_system(monkeypatch, "darwin", tmp_path / "absent", answer)
    assert processor.features_known()
    assert processor.processor_features() == features


def test_elsewhere_it_is_unknown_which_is_not_none(monkeypatch, tmp_path):
    on_system(monkeypatch, "win32", tmp_path / "absent")
    assert not processor.features_known()
    assert processor.processor_features() == frozenset()
    assert processor.features_text() == "unknown"


def test_features_are_shown_in_the_tables_order():
    assert processor.features_text(frozenset({"amx_int8", "avx2", "avx512f"})) == "avx2 avx512f amx_int8"
