"""The bundled networks' pages in the documentation are of the networks that are bundled."""

from __future__ import annotations

import pytest

from network_pages import NETWORKS, PAGES
from s2m_edge.bundled import BUNDLED_CHECKPOINTS, QUANTIZED_SUFFIX
from s2m_edge.checkpoint import read_header
from s2m_edge.notice import NOTICE

LARGEST = 3_000_000


@pytest.mark.parametrize("name", NETWORKS)
def test_a_page_is_of_the_network_that_is_bundled_and_passed(name: str):
    content = (PAGES / f"{name}.html").read_bytes()
    page = content.decode()
    assert len(content) < LARGEST
    for checkpoint in (name, f"{name}{QUANTIZED_SUFFIX}"):
        weights = read_header(BUNDLED_CHECKPOINTS[checkpoint]).weights_sha256
        assert weights in page, f"python tools/network_pages.py {name} writes it again"
    assert page.count("Passed.") == 4
    assert "FAILED" not in page
    assert "<script" not in page
    assert NOTICE in page


def test_every_page_is_of_a_network_that_is_bundled():
    assert {path.stem for path in PAGES.glob("*.html")} == set(NETWORKS)
