"""A check as a table for a pull request. Whatever names it meets, none of them is markup, a link or a person's name."""

from __future__ import annotations

import re

from s2m_edge.notice import NOTICE
from s2m_edge.targets.check.result import Artifact, CheckResult, Verdict, machine
from s2m_edge.targets.measure.parity.table import table_cells
from s2m_edge.texts import printable
from s2m_edge.versions import tool_versions

MOST_LINES = 20
"""Sentences and facts that are shown; check.json has all of them."""
LONGEST = 300
"""Letters of a text that are shown."""
TOOLS = ("s2m-edge", "python", "torch")
"""Whose versions are shown; check.json has those of the runtimes."""
HEADINGS = ("artifact", "verdict", "largest error", "agreement", "Dice", "MB", "gate", "against the base")


def summary_markdown(result: CheckResult) -> str:
    """The table, what failed, what was not executed, and what the base has to say; ends with a line break."""
    lines = [f"### s2m-edge: {code(result.network)}, {code(result.label)}", "", _outcome(result), "", *_table(result)]
    if result.record[0]:
        lines += ["", f"The network was recorded on {code(result.record[1])}: {code(result.record[0])}."]
    lines += _section("Failed", [_line(entry, sentence) for entry in result.failures for sentence in entry.sentences])
    lines += _section("Not proved here", _unproved(result))
    lines += _section("Against the base", _base(result))
    lines += _changed(result)
    tools = {name: version for name, version in tool_versions().items() if name in TOOLS}
    about = [machine(), f"weights {result.weights_sha256[:12]}", *(f"{name} {tools[name]}" for name in tools)]
    classes = ", ".join(code(name) for name in result.classes[:MOST_LINES])
    lines += ["", f"<sub>Classes: {classes}. {code(', '.join(about))}. {NOTICE}</sub>"]
    return "\n".join(lines) + "\n"


def code(text: str) -> str:
    """A stranger's text as code: neither Markdown nor HTML, and nobody is mentioned and nothing linked in it."""
    shown = printable(text)
    shown = shown if len(shown) <= LONGEST else f"{shown[:LONGEST]}..."
    escaped = _MARKUP.sub(lambda sign: f"&#{ord(sign[0])};", shown)
    # Addresses of mail are looked for when the signs are themselves again; a comment ends the text that is looked at.
    return f"<code>{escaped.replace('&#64;', '&#64;<!-- -->')}</code>"


_MARKUP = re.compile(r"[^\w .,;+=%/-]|_|(?<=[wW])\.", re.ASCII)
"""Everything that Markdown, HTML or GitHub could take for more than itself; the dot of www. begins a link."""


def _outcome(result: CheckResult) -> str:
    artifacts = {artifact.name for artifact in result.artifacts}
    failed = {entry.subject for entry in result.failures}
    reports = [artifact.report for artifact in result.artifacts if artifact.report is not None]
    executed = sum(report.verdict == "executed" for report in reports)
    counted = f"{len(reports)} of {len(artifacts)} artifacts were made here, {executed} executed"
    compared = "" if result.base_remark else ", and nothing is worse than on the base"
    if failed:
        return f"**FAILED**: {len(failed)} of {len(artifacts | failed)}; {counted}."
    return f"**Passed**: no gate is breached{compared}; {counted}."


def _table(result: CheckResult) -> list[str]:
    rows = [_row(HEADINGS), _row(["---"] * len(HEADINGS))]
    states = {(entry.subject, entry.rule): entry.state for entry in result.verdicts}
    for artifact in result.artifacts:
        if artifact.report is None:
            cells = ["not made here" if artifact.absent else "cannot be made", *["-"] * 4]
        else:
            _, verdict, error, agreement, dice, _, size = table_cells(artifact.report, artifact.size)
            cells = [verdict, error, agreement, dice, size]
        state = states.get((artifact.name, "parity"), states[artifact.name, "export"])
        rows.append(_row([code(artifact.name), *cells, _shown(state), _against_base(artifact)]))
    return rows


def _against_base(artifact: Artifact) -> str:
    if artifact.changes is None:
        return "not compared"
    if artifact.changes.worse:
        return "**worse**"
    better = sum(entry.judgement == "better" for entry in artifact.changes.figures)
    return f"no worse, {better} better" if better else "no worse"


def _shown(state: str) -> str:
    return {"passed": "passed", "failed": "**FAILED**", "skipped": "skipped"}[state]


def _row(cells: object) -> str:
    return f"| {' | '.join(cells)} |"  # type: ignore[arg-type]


def _line(entry: Verdict, sentence: str) -> str:
    return f"- {code(entry.subject)}, {entry.rule}: {code(sentence)}"


def _section(title: str, lines: list[str]) -> list[str]:
    if not lines:
        return []
    more = [f"- {len(lines) - MOST_LINES} more in check.json"] if len(lines) > MOST_LINES else []
    return ["", f"**{title}**", "", *lines[:MOST_LINES], *more]


def _unproved(result: CheckResult) -> list[str]:
    return [
        _line(entry, sentence)
        for entry in result.verdicts
        if entry.state == "skipped" and entry.rule in ("export", "executed")
        for sentence in entry.sentences
    ]


def _base(result: CheckResult) -> list[str]:
    found = [f"- Nothing was compared: {code(result.base_remark)}."] if result.base_remark else []
    found += [f"- {code(name)} is only on the base." for name in result.gone]
    if not result.base_remark:
        new = [artifact.name for artifact in result.artifacts if artifact.report and artifact.changes is None]
        found += [f"- {code(name)} is new: the base has no report of it." for name in new]
    if result.accuracy is not None and result.accuracy.get("remark"):
        found.append(f"- Accuracy: {code(str(result.accuracy['remark']))}.")
    return found


def _changed(result: CheckResult) -> list[str]:
    """What else differs from the base, folded away."""
    rows = [
        _row([code(artifact.name), code(name), code(before), code(after)])
        for artifact in result.artifacts
        if artifact.changes is not None
        for name, before, after in artifact.changes.facts
        if not name.startswith("files.")
    ]
    if not rows:
        return []
    more = [_row([f"{len(rows) - MOST_LINES} more in check.json", "", "", ""])] if len(rows) > MOST_LINES else []
    head = [_row(["artifact", "what it says of itself", "base", "here"]), _row(["---"] * 4)]
    return ["", "<details><summary>What else differs</summary>", "", *head, *rows[:MOST_LINES], *more, "", "</details>"]
