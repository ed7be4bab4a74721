"""Limits of instruction sets: whether kernels' names keep them, and who cannot be limited."""

from __future__ import annotations

from dataclasses import replace

import pytest

from s2m_edge.errors import ConfigurationError
from s2m_edge.targets.measure.benchmark import instruction_sets
from s2m_edge.targets.measure.benchmark.contenders import pytorch_contenders
from s2m_edge.targets.measure.benchmark.instruction_sets import (
    INSTRUCTION_SETS,
    disobedience,
    find_instruction_set,
    remainder,
    why_deaf,
)

LIMITS = {entry.name: entry for entry in INSTRUCTION_SETS}


@pytest.mark.parametrize(
    ("limit", "kernels", "word"),
    [
        ("avx2", ["Convolution:jit_avx2_f32", "RMS:jit_avx512_f32"], ""),
        ("avx2", ["Convolution:jit_avx2_f32", "Convolution:brgconv_avx512_f32"], "brgconv_avx512_f32"),
        ("sse42", ["convolution:jit:avx2"], "jit:avx2"),
        ("avx512", ["convolution:brg_conv_fwd:avx512_core_amx"], "amx"),
        ("avx2", ["Convolution:jit_gemm_f32"], "cannot be told"),
        ("avx2", [], "cannot be told"),
    ],
)
def test_a_limit_holds_where_the_arithmetic_is(limit, kernels, word):
    found = disobedience(LIMITS[limit], kernels, trapped=False)
    assert (found == "") == (word == "")
    assert word in found


def test_where_the_processor_is_seen_to_be_older_names_are_no_doubt_but_a_newer_kernel_is():
    assert disobedience(LIMITS["avx2"], [], trapped=True) == ""
    assert "avx512" in disobedience(LIMITS["avx2"], ["Convolution:brgconv_avx512_f32"], trapped=True)


def test_what_a_limit_does_not_reach_is_a_remark():
    kernels = ["Convolution:jit_avx2_f32", "RMS:jit_avx512_f32", "FullyConnected:gemm_mlas_f32"]
    assert remainder(LIMITS["avx2"], kernels) == "2 of 3 kernels are not limited (FullyConnected, RMS)"
    assert remainder(LIMITS["avx2"], kernels[:1]) == ""


def test_a_limit_beyond_the_processor_is_refused(monkeypatch):
    monkeypatch.setattr(instruction_sets, "features_known", lambda: True)
    monkeypatch.setattr(instruction_sets, "processor_features", lambda: frozenset({"avx2"}))
    assert find_instruction_set("avx2").name == "avx2"
    with pytest.raises(ConfigurationError, match="no avx512f"):
        find_instruction_set("avx512")


def test_who_asks_the_processor_is_deaf_unless_it_is_answered_for_and_the_compiler_always_is(tmp_path):
    eager, _, compiled = pytorch_contenders(tmp_path, 96, compiled=True)
    onnx = replace(eager, kind="bundle", target="onnx")
    assert why_deaf(eager, trapped=False) == why_deaf(onnx, trapped=True) == ""
    assert "asks the processor" in why_deaf(onnx, trapped=False)
    assert "Inductor" in why_deaf(compiled, trapped=True)
