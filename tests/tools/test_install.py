"""Set-up: uv looks where pip would look, and pip does the work where uv does not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import install
import pytest

LISTED = """
:env:.cert='/etc/ours.crt'
:env:.disable-pip-version-check='1'
:env:.find-links='/variable'
global.cert='/etc/theirs.crt'
global.constraint='/etc/one.txt /etc/two.txt'
global.extra-index-url='https://a.example/simple file:///b'
global.find-links='/machine'
global.index-url='https://machine.example/simple'
user.index-url='https://user.example/simple'
"""


def test_uv_is_told_what_pip_would_go_by():
    assert install.uv_settings(LISTED, {}) == {
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "SSL_CERT_FILE": "/etc/ours.crt",
        "UV_CONSTRAINT": "/etc/one.txt /etc/two.txt",
        "UV_INDEX": "https://a.example/simple file:///b",
        "UV_FIND_LINKS": "/variable",
        "UV_DEFAULT_INDEX": "https://user.example/simple",
    }


def test_what_is_said_to_uv_itself_counts_more():
    found = install.uv_settings(LISTED, {"UV_DEFAULT_INDEX": "https://mine.example", "HOME": "/root"})
    assert found["UV_DEFAULT_INDEX"] == "https://mine.example"
    assert "HOME" not in found


def test_pips_own_listing_is_understood(tmp_path: Path):
    (tmp_path / "pip.conf").write_text("[global]\nfind-links =\n    /one\n    /two\n", encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"],
        env={**environment, "PIP_CONFIG_FILE": str(tmp_path / "pip.conf")},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert install.uv_settings(listed, {})["UV_FIND_LINKS"] == "/one,/two"


@pytest.mark.parametrize("way", ["not to be had", "fails in the middle"])
def test_without_uv_pip_does_all_of_it(way: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    asked: list[tuple[str, ...]] = []

    def failing(*arguments: str) -> None:
        if "--editable" in arguments:
            raise subprocess.CalledProcessError(1, "uv")

    monkeypatch.setattr(install, "find_uv", lambda: failing if way == "fails in the middle" else None)
    monkeypatch.setattr(install, "pip", lambda *arguments: asked.append(arguments))
    assert install.main() == 0
    assert [arguments[:2] for arguments in asked[1:]] == [("install", "--editable"), ("install", "--upgrade")]
    assert asked[0][1].startswith("torch==")
    assert ("pip goes on" in capsys.readouterr().err) == (way == "fails in the middle")


def test_where_pip_fails_too_set_up_says_so(monkeypatch: pytest.MonkeyPatch, capsys):
    def failing(*arguments: str) -> None:
        raise subprocess.CalledProcessError(1, "pip")

    monkeypatch.setattr(install, "find_uv", lambda: None)
    monkeypatch.setattr(install, "pip", failing)
    assert install.main() == 2
    assert "pip failed (1)" in capsys.readouterr().out
