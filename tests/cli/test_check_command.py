"""`s2m-edge check` on a small network: what it writes, what fails it, and what the base branch makes of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from markupsafe import escape

from check_support import CLASS, CONFIG, NAME, checked_base
from command_line import Run
from s2m_edge.errors import LoweringError
from s2m_edge.notice import NOTICE
from s2m_edge.targets.onnx.run import ONNXRunner
from s2m_edge.targets.openvino.export import OpenVINOExporter
from support import assert_one_line_error

pytest.importorskip("onnxruntime")
pytest.importorskip("matplotlib")

FILES = ("check.json", "junit.xml", "report.html", "results.sarif", "summary.md")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository that holds a network."""
    return checked_base(tmp_path_factory).place


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of the base branch's check, which passes; with accuracy, and a record of the CPU."""
    return checked_base(tmp_path_factory).results


def values(folder: Path) -> dict:
    return json.loads((folder / "check.json").read_text())


def states(folder: Path) -> dict[str, str]:
    return {entry["rule"]: entry["state"] for entry in values(folder)["verdicts"]}


def failures(folder: Path) -> list[ElementTree.Element]:
    return list(ElementTree.parse(folder / "junit.xml").iter("failure"))


def test_a_check_that_passes_writes_all_there_is_to_tell(base: Path):
    assert {path.name for path in base.iterdir()} == {*FILES, "bundles", "plain-u-net-cpu.reference.safetensors"}
    assert (base / "bundles" / NAME / "contract.json").is_file()
    assert states(base) == {
        "export": "passed",
        "parity": "passed",
        "executed": "passed",
        "recorded": "passed",
        "base": "skipped",
        "accuracy": "passed",
    }
    assert not failures(base)
    assert json.loads((base / "results.sarif").read_text())["runs"][0]["results"] == []
    assert values(base)["accuracy"]["data"] == {"name": "labelled", "split": "test", "images": 2}
    assert len(values(base)["artifacts"][0]["parity"]["images"]) == 3
    for file in FILES:
        assert NOTICE in (base / file).read_text(encoding="utf-8"), file


def test_a_strange_name_of_a_class_is_text_everywhere(base: Path):
    page, summary = ((base / file).read_text(encoding="utf-8") for file in ("report.html", "summary.md"))
    assert str(escape(CLASS)) in page
    assert "<b>" not in summary
    assert "@octocat" not in summary
    classes = ElementTree.parse(base / "junit.xml").find(".//property[@name='classes']")
    assert classes is not None
    assert classes.get("value") == CLASS


def test_a_breach_fails_and_everything_is_told_all_the_same(
    place: Path, base: Path, tmp_path: Path, run: Run, monkeypatch
):
    whole = ONNXRunner._predict
    monkeypatch.setattr(ONNXRunner, "_predict", lambda self, fitted: np.roll(whole(self, fitted), 9, axis=-1))
    out = tmp_path / "check"
    code, printed, err = run("check", place / "check.yaml", "--out", out, "--base", base)
    assert_one_line_error(code, printed, err, f"{NAME}, parity", str(out / "report.html"), expected=1)
    assert {path.name for path in out.iterdir()} == {*FILES, "bundles"}
    assert [path.name for path in (out / "bundles").iterdir()] == [f"{NAME}.failed"]
    assert (states(out)["parity"], states(out)["base"]) == ("failed", "failed")
    assert {entry.get("type") for entry in failures(out)} == {"parity", "base"}
    results = json.loads((out / "results.sarif").read_text())["runs"][0]["results"]
    assert {entry["ruleId"] for entry in results} == {"parity", "base"}
    place_of = results[0]["locations"][0]["physicalLocation"]
    assert place_of["artifactLocation"]["uri"].endswith("check.yaml")
    assert "onnx" in CONFIG.splitlines()[place_of["region"]["startLine"] - 1]
    assert "**FAILED**" in (out / "summary.md").read_text()
    assert "FAILED its gate" in (out / "report.html").read_text()
    assert ".partial-" not in "".join((out / file).read_text(encoding="utf-8") for file in FILES), "no private place"


def test_the_same_network_is_no_worse_and_what_cannot_be_lowered_does_not_keep_the_rest(
    place: Path, base: Path, tmp_path: Path, run: Run, monkeypatch
):
    pytest.importorskip("openvino")

    def refuse(*_: object) -> None:
        raise LoweringError("no such operator", "Use another")

    monkeypatch.setattr(OpenVINOExporter, "export", refuse)
    config, out = tmp_path / "two.yaml", tmp_path / "check"
    here = CONFIG.replace("my_networks", f"{place}/my_networks")
    for file in ("unet.safetensors", "spec.yaml"):
        here = here.replace(file, f"{place}/{file}")
    config.write_text(f"{here}  openvino: [float32]\n", encoding="utf-8")
    code, printed, err = run("check", config, "--out", out, "--base", base / "check.json", "--json", "--label", "here")
    assert code == 1, err
    told = json.loads(printed)
    assert [(entry["rule"], entry["state"]) for entry in told["verdicts"]] == [
        ("export", "passed"),
        ("parity", "passed"),
        ("executed", "passed"),
        ("base", "passed"),
        ("export", "failed"),
    ]
    assert told["artifacts"][1]["refused"] == "no such operator. Use another"
    assert told["label"] == "here"
    assert told["base"] == "compared"


def test_what_is_there_already_stays_and_nothing_is_begun(place: Path, tmp_path: Path, run: Run):
    (tmp_path / "check").mkdir()
    (tmp_path / "check" / "mine.txt").write_text("mine")
    result = run("check", place / "check.yaml", "--out", tmp_path / "check")
    assert_one_line_error(*result, "mine.txt")
    assert [path.name for path in tmp_path.rglob("*")] == ["check", "mine.txt"]


def test_results_are_replaced_by_later_ones_alone(place: Path, base: Path, tmp_path: Path, run: Run):
    """Whatever else lies among them stops it, before any work."""
    out = Path(shutil.copytree(base, tmp_path / "check"))
    (out / "bundles" / "note.txt").write_text("mine")
    assert_one_line_error(*run("check", place / "check.yaml", "--out", out), "note.txt")
    assert values(out) == values(base)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["none.yaml"], "there is no configuration"),
        (["{place}/check.yaml", "-t", "coreml"], "has no target 'coreml'"),
        (["{place}/check.yaml", "--record", "gpu"], "there is no device"),
    ],
)
def test_a_wrong_request_is_one_line_and_leaves_nothing(
    words: list[str], said: str, place: Path, elsewhere: Path, run: Run
):
    assert_one_line_error(*run("check", *(word.format(place=place) for word in words)), said)
    assert list(elsewhere.iterdir()) == []


def test_a_configuration_whose_targets_are_all_for_other_machines_proves_nothing(
    place: Path, elsewhere: Path, run: Run, monkeypatch
):
    monkeypatch.setattr("s2m_edge.targets.registry.Target.exists_here", lambda self: False)
    assert_one_line_error(*run("check", place / "check.yaml"), "no target that has packages for this machine")
    assert list(elsewhere.iterdir()) == []
