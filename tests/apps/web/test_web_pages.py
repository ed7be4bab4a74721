"""The page in Debian's Chromium, driven by playwright-core: see apps/web/test/e2e."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", ["desktop", "phone", "offline"])
def test_the_page_in_a_browser(name: str, run_node, dist: Path, chromium: str, small_bundles: dict[str, Path]):
    run_node(
        "--test",
        "--test-reporter=spec",
        f"test/e2e/{name}.test.js",
        S2M_EDGE_CHROMIUM=chromium,
        S2M_EDGE_BUNDLES=json.dumps({key: str(path) for key, path in small_bundles.items()}),
    )
