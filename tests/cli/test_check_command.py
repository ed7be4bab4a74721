"""`s2m-edge check` on a small network: what it writes, what fails it, and what the base branch makes of it."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from markupsafe import escape
from numpy.typing import NDArray

from check_support import CLASS, CONFIG, NAME, checked_base
from command_line import Run
from s2m_edge.cli.main import main
from s2m_edge.errors import LoweringError
from s2m_edge.notice import NOTICE
from s2m_edge.targets.onnx.run import ONNXRunner
from s2m_edge.targets.openvino.export import OpenVINOExporter
from support import assert_one_line_error

pytest.importorskip("onnxruntime")
pytest.importorskip("matplotlib")

BROKEN, LOWERED = "plain-u-net-onnx-float16", "plain-u-net-openvino-float32"
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


def test_a_check_that_passes_writes_all_there_is_to_tell(base: Path):
    assert {path.name for path in base.iterdir()} == {*FILES, "bundles", "references"}
    assert len(list((base / "references").iterdir())) == 1
    assert (base / "bundles" / NAME / "contract.json").is_file()
    states = {(entry["rule"], entry["state"]) for entry in values(base)["verdicts"]}
    judged = ("export", "parity", "executed", "recorded", "accuracy")
    assert states == {*((rule, "passed") for rule in judged), ("base", "skipped")}
    assert list(ElementTree.parse(base / "junit.xml").iter("failure")) == []
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


@pytest.fixture(scope="module")
def failed(place: Path, base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A pull request's results and what was printed: float32 as on the base, a breach planted in float16, and a target
    to which the network cannot be lowered."""
    pytest.importorskip("openvino")
    whole = ONNXRunner._predict

    def broken(self: ONNXRunner, fitted: NDArray[np.uint8]) -> NDArray[np.float32]:
        answer = whole(self, fitted)
        return np.roll(answer, 9, axis=-1) if self.precision == "float16" else answer

    def refuse(*_: object) -> None:
        raise LoweringError("no such operator", "Use another")

    folder = tmp_path_factory.mktemp("change")
    here = CONFIG.replace("my_networks", f"{place}/my_networks")
    for file in ("unet.safetensors", "spec.yaml"):
        here = here.replace(file, f"{place}/{file}")
    (folder / "two.yaml").write_text(f"{here}  openvino: [float32]\n", encoding="utf-8")
    words = ["check", str(folder / "two.yaml"), "--out", str(folder / "out"), "--base", str(base), "--label", "here"]
    errors = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ONNXRunner, "_predict", broken)
        patch.setattr(OpenVINOExporter, "export", refuse)
        patch.setattr("sys.stderr", errors)
        with pytest.raises(SystemExit) as caught:
            main(words)
    assert caught.value.code == 1, errors.getvalue()
    return folder / "out", errors.getvalue()


def test_a_breach_fails_and_everything_is_told_all_the_same(failed: tuple[Path, str]):
    out, errors = failed
    assert_one_line_error(1, "", errors, f"{BROKEN}, parity", str(out / "report.html"), expected=1)
    assert {path.name for path in out.iterdir()} == {*FILES, "bundles"}
    assert {path.name for path in (out / "bundles").iterdir()} == {NAME, f"{BROKEN}.failed"}
    assert "**FAILED**" in (out / "summary.md").read_text()
    page = (out / "report.html").read_text()
    assert "FAILED its gate" in page
    assert "gives the network" in page
    assert ".partial-" not in "".join((out / file).read_text(encoding="utf-8") for file in FILES), "no private place"


def test_each_artifact_is_judged_by_itself_and_against_the_base(failed: tuple[Path, str]):
    told = values(failed[0])
    found = {(entry["subject"], entry["rule"]): entry["state"] for entry in told["verdicts"]}
    assert found == {
        **{(NAME, rule): "passed" for rule in ("export", "parity", "executed", "base")},
        **{(BROKEN, rule): "passed" for rule in ("export", "executed")},
        **{(BROKEN, rule): "failed" for rule in ("parity", "base")},
        (LOWERED, "export"): "failed",
    }
    assert told["artifacts"][2]["refused"] == "no such operator. Use another"
    assert (told["label"], told["base"], told["passed"]) == ("here", "compared", False)


def test_ci_and_code_scanning_are_told_the_same(failed: tuple[Path, str]):
    out, _ = failed
    cases = list(ElementTree.parse(out / "junit.xml").iter("testcase"))
    broken = {
        (str(case.get("classname")).partition(".")[2], str(case.get("name")).partition(":")[0])
        for case in cases
        if case.find("failure") is not None
    }
    assert broken == {(BROKEN, "parity"), (BROKEN, "base"), (LOWERED, "export")}
    results = json.loads((out / "results.sarif").read_text())["runs"][0]["results"]
    assert {entry["ruleId"] for entry in results} == {"parity", "base", "export"}
    lines = (out.parent / "two.yaml").read_text().splitlines()
    for entry in results:
        region = entry["locations"][0]["physicalLocation"]
        assert region["artifactLocation"]["uri"].endswith("/two.yaml")
        target = "openvino" if entry["ruleId"] == "export" else "onnx"
        assert lines[region["region"]["startLine"] - 1].strip().startswith(f"{target}:")


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
