"""Where Core ML may run on a Mac: each of its units by a variable, so that each can be tried by itself."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from s2m_edge.deploy.interface import TensorInterface
from s2m_edge.errors import ConfigurationError
from s2m_edge.imaging.preprocess import Preprocessing
from s2m_edge.targets.coreml import run
from s2m_edge.targets.coreml.run import COMPUTE_UNITS, UNITS_VARIABLE, CoreMLRunner

ct = pytest.importorskip("coremltools")


def loaded(monkeypatch: pytest.MonkeyPatch, units: str) -> tuple[CoreMLRunner, dict[str, Any]]:
    """A runner as on a Mac, but for Core ML itself; what the package was opened with."""
    opened: dict[str, Any] = {}
    monkeypatch.setenv(UNITS_VARIABLE, units)
    monkeypatch.setattr(run, "sys", SimpleNamespace(platform="darwin"))
    monkeypatch.setattr(ct.models, "MLModel", lambda path, **given: opened.update(given, path=path))
    interface = TensorInterface("uint8", "image")
    return CoreMLRunner(Path("a.mlpackage"), interface, Preprocessing(8, 8, 3), "float32", None), opened


@pytest.mark.parametrize("units", COMPUTE_UNITS)
def test_the_variable_says_where_it_may_run_and_the_report_too(units: str, monkeypatch: pytest.MonkeyPatch):
    runner, opened = loaded(monkeypatch, units)
    name, words = COMPUTE_UNITS[units]
    assert opened["compute_units"] is ct.ComputeUnit[name]
    assert words in runner.device
    assert runner.verdict == "executed"


def test_all_units_are_allowed_where_nobody_says_otherwise(monkeypatch: pytest.MonkeyPatch):
    _, opened = loaded(monkeypatch, "")
    assert opened["compute_units"] is ct.ComputeUnit.ALL
    assert len({name for name, _ in COMPUTE_UNITS.values()}) == len(ct.ComputeUnit.__members__)


def test_another_word_is_refused_and_the_words_are_listed(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ConfigurationError, match=r"S2M_EDGE_COREML_UNITS is 'npu'.*cpu, gpu, ane"):
        loaded(monkeypatch, "npu")
