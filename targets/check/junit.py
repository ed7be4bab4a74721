"""A check as JUnit XML, which every CI shows: one test case for each thing that was judged."""

from __future__ import annotations

from xml.etree import ElementTree

from s2m_edge.notice import NOTICE
from s2m_edge.targets.check.result import RULES, CheckResult, Verdict, machine
from s2m_edge.targets.measure.parity.table import table_cells
from s2m_edge.texts import printable

COLUMNS = ("verdict", "largest error", "least agreement", "least Dice", "ms", "MB")


def junit_xml(result: CheckResult) -> bytes:
    """UTF-8. What was not executed or not compared is skipped with the reason, and never passed."""
    verdicts = result.verdicts
    counts = {
        "tests": str(len(verdicts)),
        "failures": str(len(result.failures)),
        "errors": "0",
        "skipped": str(sum(verdict.state == "skipped" for verdict in verdicts)),
    }
    root = ElementTree.Element("testsuites", {"name": "s2m-edge check", **counts})
    suite = ElementTree.SubElement(
        root, "testsuite", {"name": _text(f"s2m-edge check of {result.network}, {result.label}"), **counts}
    )
    properties = ElementTree.SubElement(suite, "properties")
    about = {
        "network": result.network,
        "classes": ", ".join(result.classes),
        "weights": result.weights_sha256,
        "machine": machine(),
        "notice": NOTICE,
    }
    for name, value in about.items():
        ElementTree.SubElement(properties, "property", {"name": name, "value": _text(value)})
    figures = {artifact.name: _figures(artifact) for artifact in result.artifacts}
    for verdict in verdicts:
        _add_case(suite, verdict, figures.get(verdict.subject, "") if verdict.rule == "parity" else "")
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


def _add_case(suite: ElementTree.Element, verdict: Verdict, figures: str) -> None:
    # A dot in a class's name is a folder in several viewers.
    subject = _text(verdict.subject).replace(".", "_")
    name = f"{verdict.rule}: {RULES[verdict.rule]}"
    case = ElementTree.SubElement(suite, "testcase", {"classname": f"s2m-edge.{subject}", "name": name})
    if verdict.state == "failed":
        first = _text(verdict.sentences[0])
        failure = ElementTree.SubElement(case, "failure", {"type": verdict.rule, "message": first})
        failure.text = "\n".join(map(_text, verdict.sentences))
    elif verdict.state == "skipped":
        ElementTree.SubElement(case, "skipped", {"message": _text("; ".join(verdict.sentences))})
    if figures:
        ElementTree.SubElement(case, "system-out").text = _text(figures)


def _figures(artifact: object) -> str:
    report = getattr(artifact, "report", None)
    if report is None:
        return ""
    _, *cells = table_cells(report, artifact.size)  # type: ignore[attr-defined]
    return ", ".join(f"{name} {cell}" for name, cell in zip(COLUMNS, cells, strict=True))


def _text(text: str) -> str:
    """Without the characters that no XML may hold, escaped or not; the writer escapes the others."""
    return printable(text)
