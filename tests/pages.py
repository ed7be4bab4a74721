"""The pages of the documentation, and what their blocks hold."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

import pytest

from page_blocks import SHELL, blocks_of, lines_of

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [README, ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks(path: Path, *languages: str) -> list[str]:
    """The contents of a page's fenced blocks of these languages."""
    return [block.content for block in blocks_of(text_of(path)) if block.language in languages]


def shell_lines(path: Path) -> list[str]:
    """The commands of a page's blocks for a shell, without comments."""
    return [line.command for block in blocks(path, *SHELL) for line in lines_of(block)]


@cache
def repository_files() -> tuple[str, ...]:
    """Tracked files, and new ones that are not ignored; links to others have nothing of their own."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True
    )
    if listed.returncode != 0:
        pytest.skip("no git checkout here: the files of the repository are not known")
    names = {name for name in listed.stdout.decode().split("\0") if name and not name.startswith("shared/")}
    return tuple(sorted(name for name in names if (ROOT / name).is_file() and not (ROOT / name).is_symlink()))
