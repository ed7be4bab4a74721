"""A check as SARIF 2.1.0, which code scanning shows beside the line of the configuration that asked for an artifact."""

from __future__ import annotations

import hashlib
import re
from typing import Any
from urllib.parse import quote

from s2m_edge import __version__
from s2m_edge.notice import NOTICE
from s2m_edge.targets.check.result import NOT_EXECUTED, RULES, CheckResult, Verdict
from s2m_edge.texts import printable

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
MOST_RESULTS = 5000
"""That code scanning shows of one run."""


def sarif_values(result: CheckResult) -> dict[str, Any]:
    """A log of one run: an error for each sentence that failed, a note for each artifact that nobody executed."""
    names = list(RULES)
    results = [
        _result(verdict, sentence, names.index(verdict.rule), result.config)
        for verdict in result.verdicts
        if verdict.state == "failed" or sarif_note(verdict)
        for sentence in verdict.sentences
    ]
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "s2m-edge",
                        "version": __version__,
                        "rules": [_rule(name, text) for name, text in RULES.items()],
                    }
                },
                # Code scanning keeps the alerts of each machine apart by it.
                "automationDetails": {"id": f"s2m-edge-check/{quote(printable(result.label), safe='')}/"},
                "columnKind": "unicodeCodePoints",
                "results": results[:MOST_RESULTS],
                "properties": {
                    "network": printable(result.network),
                    "classes": [printable(name) for name in result.classes],
                    "notice": NOTICE,
                },
            }
        ],
    }


def sarif_note(verdict: Verdict) -> bool:
    """Whether something that was skipped is worth a note: an artifact that was made, and that nobody executed."""
    return verdict.state == "skipped" and verdict.rule == "executed" and NOT_EXECUTED in verdict.sentences


def _rule(name: str, text: str) -> dict[str, Any]:
    return {
        "id": name,
        "name": name.capitalize(),
        "shortDescription": {"text": f"{text}."},
        "defaultConfiguration": {"level": "error"},
    }


def _result(verdict: Verdict, sentence: str, index: int, config: str) -> dict[str, Any]:
    text = f"{verdict.subject}: {sentence}."
    return {
        "ruleId": verdict.rule,
        "ruleIndex": index,
        "level": "error" if verdict.state == "failed" else "note",
        "message": {"text": plain_message(text)},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": quote(config, safe="/")},
                    "region": {"startLine": verdict.line},
                }
            }
        ],
        # The same breach with another figure is the same alert.
        "partialFingerprints": {"s2mEdgeCheck/v1": _fingerprint(verdict, sentence)},
    }


def plain_message(text: str) -> str:
    """A stranger's text as a message: SARIF would take brackets for a link, and braces for a place to be filled in."""
    escaped = printable(text).replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")
    return escaped.replace("{", "{{").replace("}", "}}")


def _fingerprint(verdict: Verdict, sentence: str) -> str:
    without_figures = re.sub(r"[-+]?\d+(\.\d+)?(e[-+]?\d+)?", "#", sentence)
    return hashlib.sha256(
        "\0".join((verdict.subject, verdict.rule, without_figures)).encode("utf-8", "replace")
    ).hexdigest()
