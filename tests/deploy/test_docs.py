"""What the documentation says is so: links, commands, snippets, gates, and the files that an extension touches."""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
import re
import shlex
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

import s2m_edge
from page_blocks import FENCE
from pages import PAGES, README, ROOT, blocks, name_of, repository_files, shell_lines, text_of
from s2m_edge.cli.main import app
from s2m_edge.deploy.precision import PRECISION_ROWS
from s2m_edge.targets.measure.parity.gates import ACCURACY_GATES
from s2m_edge.targets.registry import target_names

CONTRACT, DEVELOPING = ROOT / "docs" / "contract.md", ROOT / "docs" / "developing.md"
MOST_WORDS = 900

LINK = re.compile(r"\]\(([^()\s]+)\)|<img src=\"([^\"]+)\"")


def tables(path: Path, *heading: str) -> Iterator[dict[str, str]]:
    """The rows of the page's tables that have at least these columns, by column."""
    columns: list[str] = []
    for line in text_of(path).splitlines():
        if not line.startswith("|"):
            columns = []
            continue
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not columns:
            columns = cells
        elif set(heading) <= set(columns) and not set(line) <= set("|-: "):
            yield dict(zip(columns, cells, strict=True))


def test_the_readme_is_short():
    assert len(text_of(README).split()) < MOST_WORDS


def test_the_readme_lists_the_targets_of_the_registry():
    listed = [row["target"].strip("`") for row in tables(README, "target", "artifact")]
    assert sorted(listed) == sorted(target_names())


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_every_relative_link_leads_somewhere(path: Path):
    links = [one or other for one, other in LINK.findall(FENCE.sub("", text_of(path)))]
    relative = [link.partition("#")[0] for link in links if "://" not in link and not link.startswith("#")]
    assert [link for link in relative if not (path.parent / link).exists()] == []


def test_every_page_is_in_the_index():
    index = text_of(ROOT / "docs" / "index.md")
    pages = [path.relative_to(ROOT / "docs").as_posix() for path in PAGES if path.is_relative_to(ROOT / "docs")]
    assert [page for page in pages if page != "index.md" and f"({page})" not in index] == []


@cache
def command_line() -> Any:
    return typer.main.get_command(app)


COMMANDS = sorted(
    {(name_of(path), line) for path in PAGES for line in shell_lines(path) if line.startswith("s2m-edge ")}
)


@pytest.mark.parametrize(("page", "line"), COMMANDS, ids=lambda value: value[:60])
def test_every_command_that_a_page_shows_is_understood(page: str, line: str):
    """Parsed with the command's own options, types and arguments, and not run."""
    command = command_line()
    words = shlex.split(line, comments=True)
    name = words.pop(0)
    while hasattr(command, "commands"):
        name = words.pop(0)
        assert name in command.commands, f"{page}: there is no command {name!r}"
        command = command.commands[name]
    command.make_context(name, words)


def test_the_commands_that_are_checked_are_not_few():
    assert len([line for page, line in COMMANDS if page == "README.md"]) >= 5


SNIPPETS = [
    pytest.param(content, id=f"{name_of(path)}-{index}")
    for path in PAGES
    for index, content in enumerate(blocks(path, "python"))
]


@pytest.mark.parametrize("content", SNIPPETS)
def test_python_of_a_page_compiles_and_its_imports_are_there(content: str):
    tree = ast.parse(content)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            missing = [alias.name for alias in node.names if not find_module(alias.name)]
        elif isinstance(node, ast.ImportFrom) and node.module == "my_networks":  # the reader's own
            missing = []
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None
            missing = [alias.name for alias in node.names if not defines(node.module, alias.name)]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "s2m_edge":
            missing = [node.attr] if node.attr not in s2m_edge.__all__ else []
        else:
            continue
        assert missing == [], ast.unparse(node)


def test_the_readme_has_an_example_in_python():
    assert len(blocks(README, "python")) >= 1


def find_module(name: str) -> Path | None:
    """The file of a module, found without importing it: importing MONAI takes longer than all of these tests."""
    top, *parts = name.split(".")
    spec = importlib.util.find_spec(top)
    if spec is None or spec.origin is None:
        return None
    if not parts:
        return Path(spec.origin)
    place = Path(spec.origin).parent.joinpath(*parts)
    return next((path for path in (place / "__init__.py", place.with_suffix(".py")) if path.is_file()), None)


def defines(module: str, name: str) -> bool:
    if module == "s2m_edge":
        return name in s2m_edge.__all__
    path = find_module(module)
    if path is None:
        return False
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom | ast.Import) and name in [a.asname or a.name for a in node.names]:
            return True
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            return True
    return find_module(f"{module}.{name}") is not None


@pytest.mark.parametrize("path", [README, CONTRACT], ids=name_of)
def test_the_parity_gates_are_those_of_the_code(path: Path):
    columns = ("largest error", "mean error", "least agreement", "least Dice")
    found = {
        row["precision"]: tuple(float(row[column]) if row[column] else None for column in columns)
        for row in tables(path, "precision", *columns)
    }
    assert found == {name: dataclasses.astuple(row.gate) for name, row in PRECISION_ROWS.items()}


def test_the_gates_on_labelled_images_are_those_of_the_code():
    def limit(cell: str) -> float | None:
        return float(cell) if cell else None

    found = {
        (row["reference"], row["stage"]): (
            limit(row["mean Dice"]),
            limit(row["worst image's Dice"]),
            limit(row["mean HD95, pixels"]),
            row["both ways"] == "yes",
        )
        for row in tables(CONTRACT, "reference", "stage")
    }
    assert found == {
        pair: (gate.mean_dice, gate.worst_dice, gate.mean_hd95, gate.both_ways) for pair, gate in ACCURACY_GATES.items()
    }


def listed_files(heading: str, **names: str) -> list[str]:
    """The patterns of the lists under a heading and the headings below it, with NAME replaced."""
    section = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text_of(DEVELOPING), re.MULTILINE | re.DOTALL)
    assert section is not None, heading
    lines = "".join(content for language, content in FENCE.findall(section[1]) if language == "text").splitlines()
    return [line.split()[0].replace("NAME", names.get("name", "NAME")) for line in lines]


def files_that_speak_of(word: str) -> list[str]:
    """Files whose path or content has a word, in any case."""
    wanted = word.lower()
    return [
        name
        for name in repository_files()
        if wanted in name.lower() or wanted.encode() in (ROOT / name).read_bytes().lower()
    ]


@pytest.mark.parametrize(
    ("heading", "name", "word", "core"),
    [
        ("Files that a new target touches", "litert", "litert", "targets/litert/export.py"),
        ("Files that a new network touches", "segresnet", "segresnet", "tests/networks.py"),
        ("Files that a new precision touches", "coreml", "palette6", "s2m_edge/deploy/precision.py"),
    ],
    ids=["target", "network", "precision"],
)
def test_an_extension_touches_the_files_that_the_page_lists_and_no_others(
    heading: str, name: str, word: str, core: str
):
    own = Path(__file__).relative_to(ROOT).as_posix()
    patterns = [*listed_files(heading, name=name), own]
    found = files_that_speak_of(word)
    assert core in found, f"nothing of {word} is here: there is nothing to compare the list with"
    unlisted = [path for path in found if not any(fnmatchcase(path, pattern) for pattern in patterns)]
    assert unlisted == [], f"add them to docs/developing.md, {heading!r}, or ask why they have to know of {word}"


@pytest.mark.parametrize("heading", ["a new target", "a new network", "a new precision"])
def test_every_place_that_is_listed_is_there(heading: str):
    patterns = listed_files(f"Files that {heading} touches")
    assert len(patterns) >= 4
    for pattern in patterns:
        wanted = pattern.replace("NAME", "*")
        assert any(fnmatchcase(path, wanted) for path in repository_files()), pattern
