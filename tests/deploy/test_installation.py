"""Remedies name the command that fits how this copy was installed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from s2m_edge import installation
from s2m_edge.installation import CHECKOUT, install_command


class Written:
    """A distribution of which pip wrote this down."""

    def __init__(self, text: str | None) -> None:
        self.text = text

    def read_text(self, name: str) -> str | None:
        assert name == "direct_url.json"
        return self.text


def test_a_clone_is_installed_in_place(monkeypatch, tmp_path: Path):
    monkeypatch.chdir(CHECKOUT)
    assert install_command("coreml") == "pip install -e '.[coreml]'"
    monkeypatch.chdir(tmp_path)
    assert install_command("coreml") == f"pip install -e '{CHECKOUT}[coreml]'"


@pytest.mark.parametrize(
    ("written", "what"),
    [
        ({"url": "file:///home/me/edge.whl", "archive_info": {}}, "/home/me/edge.whl"),
        ({"url": "file:///home/my%20clone", "dir_info": {}}, "/home/my clone"),
        (None, "s2m-edge"),
        ([], "s2m-edge"),
    ],
    ids=["wheel", "folder", "index", "damaged"],
)
def test_elsewhere_it_is_what_pip_was_given(monkeypatch, tmp_path: Path, written, what: str):
    monkeypatch.setattr(installation, "CHECKOUT", tmp_path)
    text = None if written is None else json.dumps(written)
    monkeypatch.setattr(installation.metadata, "distribution", lambda name: Written(text))
    assert install_command("coreml") == f"pip install '{what}[coreml]'"
