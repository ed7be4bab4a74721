"""The page's modules under node's own test runner, held to the contract test vectors; types by TypeScript."""

from __future__ import annotations

import re

from s2m_edge.apps.web.build import APP


def test_the_modules_do_what_the_contract_test_vectors_say(run_node):
    files = sorted(str(path) for path in (APP / "test" / "unit").glob("*.test.js"))
    assert len(files) >= 4
    printed = run_node("--test", "--test-reporter=tap", *files)
    counts = dict(re.findall(r"^# (tests|pass|fail|skipped) (\d+)$", printed, re.MULTILINE))
    assert int(counts["fail"]) == 0
    assert int(counts["skipped"]) == 0
    assert int(counts["pass"]) == int(counts["tests"]) >= 100


def test_the_types_fit(run_node):
    for configuration in ("jsconfig.json", "jsconfig.worker.json", "jsconfig.test.json"):
        run_node("node_modules/typescript/bin/tsc", "--project", configuration)
