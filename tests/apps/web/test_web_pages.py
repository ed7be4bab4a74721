"""The page in Debian's Chromium, driven by playwright-core: see apps/web/test/e2e."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", ["desktop", "phone", "offline", "window", "guard", "pictures"])
def test_the_page_in_a_browser(name: str, run_node, dist: Path, chromium: str, small_bundles: dict[str, Path]):
    drive(name, run_node, chromium, small_bundles)


def test_the_page_with_a_network_that_is_not_s2m_net(
    run_node, dist: Path, chromium: str, small_bundles: dict[str, Path], foreign: Any, export_foreign: Any
):
    drive("foreign", run_node, chromium, {**small_bundles, "foreign": export_foreign(foreign, "onnx").folder})


def test_the_page_where_the_graphics_adapter_lacks_something_or_is_lost(
    run_node, dist: Path, chromium: str, narrow_bundles: dict[str, Path]
):
    drive("webgpu", run_node, chromium, narrow_bundles)


def drive(name: str, run_node, chromium: str, bundles: dict[str, Path]) -> None:
    """Run one of the page's end-to-end tests with bundles by name."""
    run_node(
        "--test",
        "--test-reporter=spec",
        f"test/e2e/{name}.test.js",
        S2M_EDGE_CHROMIUM=chromium,
        S2M_EDGE_BUNDLES=json.dumps({key: str(path) for key, path in bundles.items()}),
    )
