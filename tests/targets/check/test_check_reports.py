"""A check's reports say what was found: failed, skipped and passed in every format, and no name in them is markup."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import jsonschema
import pytest

from s2m_edge.deploy.interface import Verdict
from s2m_edge.errors import ParityError
from s2m_edge.files import write_json
from s2m_edge.notice import NOTICE
from s2m_edge.targets.check.base import read_base
from s2m_edge.targets.check.junit import junit_xml
from s2m_edge.targets.check.markdown import summary_markdown
from s2m_edge.targets.check.result import EVALUATED, NOT_EXECUTED, RULES, Artifact, CheckResult
from s2m_edge.targets.check.sarif import sarif_values
from s2m_edge.targets.measure.changes import compare_sides
from s2m_edge.targets.measure.changes.side import Side, parity_side, size_figure
from s2m_edge.targets.measure.parity.compare import ImageParity
from s2m_edge.targets.measure.parity.gates import GATES
from s2m_edge.targets.measure.parity.report import ParityReport

HOSTILE = (
    "a\"b'<b>x</b>&|`code` *bold* _it_ [link](https://evil.example) @octocat #1 :tada: {0} ![p](x) "
    "www.evil.example me@evil.example\n# head\x1b[31m"
)
"""As a file, a class or a network of a stranger's may be called."""

FINE = ImageParity("one.png", 1e-6, 1e-7, 1.0, 1.0, 0.2, 3.0)


def report(*images: ImageParity, verdict: Verdict = "executed", precision: str = "float32") -> ParityReport:
    return ParityReport(
        "onnx", precision, "none", verdict, "edge", "reference", images or (FINE,), {"torch": "2"}, {"weights": "ab"}
    )


def artifact(name: str = "net-onnx-float32", made: ParityReport | None = None, **values: Any) -> Artifact:
    return Artifact(name, "onnx", "float32", 6, made or report(), 2_500_000, **values)


def checked(*artifacts: Artifact, **values: Any) -> CheckResult:
    named = {"network": "net", "classes": ("polyp",), "label": "linux-x64", **values}
    return CheckResult(config="ci/check.yaml", weights_sha256="0123456789abcdef", artifacts=artifacts, **named)


def breaching(name: str = "one.png") -> ParityReport:
    return report(replace(FINE, name=name, max_probability_error=0.5))


def states(result: CheckResult) -> dict[str, str]:
    """By rule, of a check of one artifact."""
    return {entry.rule: entry.state for entry in result.verdicts}


def cases(result: CheckResult) -> dict[str, ElementTree.Element]:
    """The test cases of the JUnit XML by rule."""
    root = ElementTree.fromstring(junit_xml(result))
    return {str(case.get("name")).partition(":")[0]: case for case in root.iter("testcase")}


# What is judged


def test_an_artifact_that_was_executed_and_keeps_its_gate_passes():
    result = checked(artifact())
    assert states(result) == {"export": "passed", "parity": "passed", "executed": "passed", "base": "skipped"}
    result.require_passed("report.html")


def test_what_was_not_executed_is_skipped_and_not_passed():
    result = checked(artifact(made=report(verdict="converted, not executed")))
    assert states(result) == {"export": "passed", "parity": "skipped", "executed": "skipped", "base": "skipped"}
    for rule in ("parity", "executed"):
        skipped = cases(result)[rule].find("skipped")
        assert skipped is not None
        assert skipped.get("message") == "converted, not executed" == NOT_EXECUTED
    assert "0 executed" in summary_markdown(result)


def test_what_was_evaluated_passes_its_gate_and_not_its_execution():
    result = checked(artifact(made=report(verdict="artifact parity")))
    assert states(result)["parity"] == "passed"
    skipped = cases(result)["executed"].find("skipped")
    assert skipped is not None
    assert skipped.get("message") == EVALUATED


def test_a_breach_fails_though_nobody_executed_the_artifact():
    bad = replace(breaching(), verdict="converted, not executed")
    result = checked(artifact(made=bad))
    assert states(result)["parity"] == "failed"
    with pytest.raises(ParityError, match=r"net-onnx-float32, parity: one\.png: largest probability error 0\.5.*page"):
        result.require_passed("page")


@pytest.mark.parametrize(
    ("values", "rule", "words"),
    [
        ({"here": ("run here: it does not load",)}, "parity", "run here"),
        ({"recorded": breaching("recorded.png")}, "recorded", "recorded.png"),
    ],
)
def test_whatever_else_is_outside_its_gate_fails(values: dict[str, Any], rule: str, words: str):
    result = checked(artifact(**values))
    assert states(result)[rule] == "failed"
    assert words in "".join(result.failures[0].sentences)


def test_a_network_that_cannot_be_lowered_fails_and_one_that_nobody_could_lower_here_is_skipped():
    refused = Artifact("a", "onnx", "float32", 3, refused="no such operator")
    absent = Artifact("b", "coreml", "float32", 4, absent="no packages for this machine")
    result = checked(refused, absent)
    assert [(entry.rule, entry.state) for entry in result.verdicts] == [("export", "failed"), ("export", "skipped")]
    table = summary_markdown(result)
    assert "cannot be made" in table
    assert "not made here" in table


def test_lost_accuracy_is_a_failure_of_the_network():
    result = checked(artifact(), accuracy={"breaches": ["float32 against float: mean Dice -0.1"], "remark": "few"})
    assert result.failures[0].subject == "net"
    assert result.failures[0].rule == "accuracy"


# The base


def base_file(folder: Path, *artifacts: Artifact, **values: Any) -> Path:
    """The report of the base's check."""
    folder.mkdir()
    write_json(folder / "check.json", checked(*artifacts, **values).to_dict())
    return folder


def against(before: Artifact, now: Artifact, folder: Path) -> CheckResult:
    """A check compared with the base's, as the command does it."""
    base = read_base(base_file(folder, before))
    assert base.remark == ""
    assert now.report is not None
    side = parity_side(Path("now"), now.report)
    side = replace(side, figures={**side.figures, **size_figure(now.size)})
    changes = compare_sides(base.sides[now.name], side)
    return checked(replace(now, changes=changes))


def test_the_same_again_is_no_worse(tmp_path: Path):
    result = against(artifact(), artifact(), tmp_path / "base")
    assert states(result)["base"] == "passed"
    assert "no worse" in summary_markdown(result)


def test_what_keeps_its_gate_and_is_worse_than_on_the_base_fails(tmp_path: Path):
    allowed = GATES["float32"].probability_error
    assert allowed is not None
    worse = artifact(made=report(replace(FINE, max_probability_error=allowed / 2)))
    result = against(artifact(), worse, tmp_path / "base")
    assert states(result)["parity"] == "passed"
    assert [entry.rule for entry in result.failures] == ["base"]
    assert "**worse**" in summary_markdown(result)
    assert cases(result)["base"].find("failure") is not None


def test_what_was_executed_on_the_base_and_is_only_converted_now_is_worse(tmp_path: Path):
    result = against(artifact(), artifact(made=report(verdict="converted, not executed")), tmp_path / "base")
    assert result.failures[0].sentences == ("A was executed, B is converted, not executed",)


def test_a_base_that_breaches_its_gate_can_be_mended(tmp_path: Path):
    result = against(artifact(made=breaching()), artifact(), tmp_path / "base")
    assert not result.failures
    assert "1 better" in summary_markdown(result)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no report of the base was given"),
        ("", "cannot be read"),
        ("[]", "cannot be read"),
        ('{"check_report": 2, "artifacts": []}', "of another version"),
        ('{"check_report": 1, "artifacts": [{"name": "x", "parity": {}}]}', "cannot be read"),
        ('{"check_report": 1}' + "[" * 5000, "cannot be read"),
    ],
)
def test_a_base_without_a_readable_report_is_told_and_no_failure(content: str | None, words: str, tmp_path: Path):
    if content is not None:
        (tmp_path / "check.json").write_text(content)
    base = read_base(None if content is None else tmp_path)
    assert words in base.remark
    result = checked(artifact(), base_remark=base.remark)
    assert not result.failures
    assert words in re.sub("&#(\\d+);", lambda found: chr(int(found[1])), summary_markdown(result))


def test_a_folder_that_is_not_there_is_a_base_without_a_report(tmp_path: Path):
    assert read_base(tmp_path / "none").remark == "the base has no report"


def test_a_base_that_says_it_passed_is_judged_by_its_figures(tmp_path: Path):
    folder = base_file(tmp_path / "base", artifact(made=breaching()))
    values = json.loads((folder / "check.json").read_text())
    values["artifacts"][0]["parity"] |= {"passed": True, "breaches": []}
    write_json(folder / "check.json", values)
    assert read_base(folder).sides["net-onnx-float32"].breaches


def test_an_artifact_that_only_one_side_has_is_told():
    result = checked(artifact(), gone=("net-openvino-float32",))
    table = summary_markdown(result)
    assert "is only on the base" in table
    assert "is new" in table


# Names


def hostile() -> CheckResult:
    before, after = (Side(Path(HOSTILE), "parity", {}, (), {HOSTILE: told}) for told in ("before", HOSTILE))
    named = artifact(HOSTILE, breaching(HOSTILE), changes=compare_sides(before, after))
    skipped = artifact(f"{HOSTILE} 2", report(verdict="converted, not executed"))
    return checked(named, skipped, network=HOSTILE, classes=(HOSTILE,), label=HOSTILE, gone=(HOSTILE,), base_remark="")


class Rendered(HTMLParser):
    """A comment as GitHub's own Markdown renders it: tags, and the texts of code."""

    def __init__(self, markdown: str) -> None:
        super().__init__()
        from readme_renderer.markdown import variants

        self.tags: list[str] = []
        self.plain, self.codes = "", [""]
        self.cells = 0
        self._within: list[str] = []
        self.feed(variants["GFM"](markdown))  # HTML in it stays as it is

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a" and str(dict(attrs)["href"]).startswith("#"):
            tag = "anchor of a heading"
        self.tags.append(tag)
        self._within.append(tag)
        self.codes += [""] if tag == "code" else []

    def handle_endtag(self, tag: str) -> None:
        assert self._within.pop() in (tag, "anchor of a heading")

    def handle_comment(self, data: str) -> None:
        pass

    def handle_data(self, data: str) -> None:
        if "code" in self._within:
            self.codes[-1] += data
        else:
            self.plain += data


def test_no_name_is_markup_in_the_table():
    rendered = Rendered(summary_markdown(hostile()))
    ours = {"h3", "p", "code", "strong", "table", "thead", "tbody", "tr", "th", "td", "ul", "li", "sub"}
    assert set(rendered.tags) <= ours | {"details", "summary", "anchor of a heading"}
    shown = HOSTILE.replace("\n", "\\n").replace("\x1b", "\\x1b")
    assert rendered.codes.count(shown) >= 4, "it is shown, as it is but for what moves a terminal"
    assert rendered.tags.count("td") == 2 * 8 + 4, "a bar opens no cell"
    # GitHub links names, numbers and addresses outside code, entities or not.
    for word in ("octocat", "#1", "tada", "evil.example"):
        assert word not in rendered.plain


def test_no_name_breaks_the_xml():
    root = ElementTree.fromstring(junit_xml(hostile()))
    suite = root.find("testsuite")
    assert suite is not None
    assert "<b>x</b>&|`code`" in str(suite.get("name"))
    counted = {name: len(list(suite.iter(tag))) for name, tag in [("tests", "testcase"), ("failures", "failure")]}
    assert {name: int(str(suite.get(name))) for name in counted} == counted
    assert int(str(suite.get("skipped"))) == len(list(suite.iter("skipped"))) >= 2
    failure = next(suite.iter("failure"))
    assert "\x1b" not in str(failure.text)
    assert str(failure.get("message")) in str(failure.text)
    assert NOTICE in {entry.get("value") for entry in suite.iter("property")}


TEXT = {"type": "string", "minLength": 1}
MESSAGE = {"type": "object", "required": ["text"], "additionalProperties": False, "properties": {"text": TEXT}}


def entries(required: list[str], properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": required, "additionalProperties": False, "properties": properties}


SARIF = entries(
    ["version", "runs"],
    {
        "$schema": {"type": "string", "format": "uri"},
        "version": {"const": "2.1.0"},
        "runs": {
            "type": "array",
            "items": entries(
                ["tool", "results"],
                {
                    "tool": entries(
                        ["driver"],
                        {
                            "driver": entries(
                                ["name"],
                                {
                                    "name": TEXT,
                                    "version": TEXT,
                                    "rules": {
                                        "type": "array",
                                        "uniqueItems": True,
                                        "items": entries(
                                            ["id"],
                                            {
                                                "id": TEXT,
                                                "name": TEXT,
                                                "shortDescription": MESSAGE,
                                                "defaultConfiguration": {"type": "object"},
                                            },
                                        ),
                                    },
                                },
                            )
                        },
                    ),
                    "automationDetails": entries(["id"], {"id": TEXT}),
                    "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                    "properties": {"type": "object"},
                    "results": {
                        "type": "array",
                        "items": entries(
                            ["message", "ruleId", "locations"],
                            {
                                "ruleId": {"enum": list(RULES)},
                                "ruleIndex": {"type": "integer", "minimum": 0, "maximum": len(RULES) - 1},
                                "level": {"enum": ["none", "note", "warning", "error"]},
                                "message": MESSAGE,
                                "partialFingerprints": {"type": "object", "additionalProperties": TEXT},
                                "locations": {
                                    "type": "array",
                                    "minItems": 1,
                                    "items": entries(
                                        ["physicalLocation"],
                                        {
                                            "physicalLocation": entries(
                                                ["artifactLocation", "region"],
                                                {
                                                    "artifactLocation": entries(
                                                        ["uri"],
                                                        {"uri": {"type": "string", "pattern": "^[!-~]+$"}},
                                                    ),
                                                    "region": entries(
                                                        ["startLine"],
                                                        {"startLine": {"type": "integer", "minimum": 1}},
                                                    ),
                                                },
                                            )
                                        },
                                    ),
                                },
                            },
                        ),
                    },
                },
            ),
        },
    },
)
"""What SARIF 2.1.0 and code scanning require of the objects that are written here, and no other property."""


@pytest.mark.parametrize("result", [hostile(), checked(artifact())], ids=["hostile", "fine"])
def test_the_sarif_is_of_version_2_1_0(result: CheckResult):
    values = json.loads(json.dumps(sarif_values(result)))
    jsonschema.validate(values, SARIF)
    for entry in values["runs"][0]["results"]:
        assert values["runs"][0]["tool"]["driver"]["rules"][entry["ruleIndex"]]["id"] == entry["ruleId"]


def test_a_failure_is_an_error_at_the_line_that_asked_for_it_and_what_was_not_executed_is_a_note():
    found = sarif_values(hostile())["runs"][0]["results"]
    assert [(entry["ruleId"], entry["level"]) for entry in found] == [("parity", "error"), ("executed", "note")]
    place = found[0]["locations"][0]["physicalLocation"]
    assert unquote(place["artifactLocation"]["uri"]) == "ci/check.yaml"
    assert place["region"]["startLine"] == 6


def test_no_name_is_a_link_or_a_place_to_be_filled_in_in_a_message():
    text = sarif_values(hostile())["runs"][0]["results"][0]["message"]["text"]
    assert re.search(r"(?<!\\)\[", text) is None
    assert "{{0}}" in text
    assert "\x1b" not in text
    assert "\n" not in text


def test_the_same_breach_with_another_figure_is_the_same_alert():
    def fingerprint(error: float, name: str = "one.png") -> str:
        made = report(replace(FINE, name=name, max_probability_error=error))
        return sarif_values(checked(artifact(made=made)))["runs"][0]["results"][0]["partialFingerprints"]

    assert fingerprint(0.5) == fingerprint(0.25)
    assert fingerprint(0.5) != fingerprint(0.5, "two.png")


def test_a_comment_stays_short_however_much_failed():
    images = [replace(FINE, name=f"{'x' * 900}{index}", max_probability_error=0.5) for index in range(400)]
    many = [artifact(f"net-{index}", report(*images)) for index in range(8)]
    shown = summary_markdown(checked(*many))
    assert len(shown) < 30_000
    assert "3180 more in check.json" in shown
