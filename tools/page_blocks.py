"""What the fenced blocks of a page hold. Needs Python's own library alone: it runs where nothing is installed yet."""

from __future__ import annotations

import re
from dataclasses import dataclass

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHELL = ("sh", "bash", "console", "shell")


@dataclass(frozen=True)
class Block:
    """A fenced block, the prose between the block before and it, and the prose up to the next block or heading."""

    language: str
    content: str
    before: str
    after: str


@dataclass(frozen=True)
class Line:
    """A command of a block for a shell, and the comment behind it."""

    command: str
    says: str


def blocks_of(text: str) -> list[Block]:
    """The fenced blocks of a page, in its order."""
    prose = FENCE.split(text)[::3]
    return [
        Block(language, content, prose[index], re.split(r"^#", prose[index + 1], maxsplit=1, flags=re.MULTILINE)[0])
        for index, (language, content) in enumerate(FENCE.findall(text))
    ]


def lines_of(content: str) -> list[Line]:
    """The commands of a block for a shell; empty lines and lines of comment are none."""
    parts = (line.partition(" #") for line in content.splitlines() if not line.startswith("#"))
    return [Line(command.strip(), says.strip()) for command, _, says in parts if command.strip()]
