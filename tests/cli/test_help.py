"""The help of every command: examples, defaults, choices and names of values, each defined once."""

from __future__ import annotations

import re
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from command_line import Run
from pages import ROOT, blocks, text_of
from s2m_edge.bundled import FLOAT_NAMES
from s2m_edge.cli.help import EXAMPLES, EXIT_CODES, VALUE_NAMES, example_lines
from s2m_edge.cli.main import FAULT, app
from s2m_edge.deploy.precision import PRECISIONS, SPECTRAL_LOWERINGS
from s2m_edge.errors import ParityError, S2MEdgeError
from s2m_edge.targets.registry import target_names
from s2m_edge.train.data.presets import PRESETS
from s2m_edge.train.recipe import recipe_names

PROGRAM = typer.main.get_command(app)
PRINTS_NO_RESULT = {"demo web", "demo desktop", "serve"}
"""They run until they are ended."""


def commands(command: Any, words: str = "") -> Iterator[tuple[str, Any]]:
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, f"{words} {name}".strip())
    if not hasattr(command, "commands"):
        yield words, command


COMMANDS = dict(commands(PROGRAM))


def help_of(run: Run, name: str) -> str:
    code, out, _ = run(*name.split(), "--help")
    assert code == 0
    return re.sub(r"\s+", " ", re.sub(r"[│╭╮╰╯─]", " ", out))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_ends_with_examples_that_it_understands(name: str, run: Run):
    shown = help_of(run, name)
    for words, comment in EXAMPLES[name]:
        assert f"s2m-edge {name} {words}".strip() in shown
        assert comment in shown
        COMMANDS[name].make_context(name, shlex.split(words))
    assert shown.index("Examples") > shown.index("--help")


def test_the_page_shows_the_same_examples():
    lines = [line for name in EXAMPLES for line in example_lines(name)]
    assert blocks(ROOT / "docs" / "commands.md", "sh") == ["\n".join(lines) + "\n"], "python -m s2m_edge.cli.help"
    assert set(EXAMPLES) == set(COMMANDS)


def test_exit_codes_are_those_of_the_program_in_help_and_on_the_page(run: Run):
    signals = ", ".join(str(128 + number) for number in (signal.SIGINT, signal.SIGTERM))
    raised = (0, ParityError.exit_code, S2MEdgeError.exit_code, FAULT, signals)
    assert list(EXIT_CODES) == [str(code) for code in raised]
    rows = re.findall(r"^\| ([\d, ]+) \| (.*) \|$", text_of(ROOT / "docs" / "commands.md"), re.MULTILINE)
    assert [code for code, _ in rows] == list(EXIT_CODES)
    shown = re.sub(r"\s+", " ", run("--help")[1])
    for code, meaning in rows:
        assert meaning.replace("`", "").startswith(EXIT_CODES[code])
        assert f"{code} {EXIT_CODES[code]}" in shown


@pytest.mark.parametrize("name", COMMANDS)
def test_values_have_names_that_a_person_reads(name: str, run: Run):
    """And what takes none has none; no parameter's type is shown in place of a name."""
    shown = help_of(run, name)
    assert not re.search(r"<(bool|path|str|int|float)>|INTEGER|TEXT|FLOAT|PATH\b", shown.replace("-h <bool>", ""))


def test_no_name_of_a_value_is_left_over():
    known = {f"{name} {entry.name}" for name, command in COMMANDS.items() for entry in command.params}
    known |= {entry.name for command in COMMANDS.values() for entry in command.params}
    assert set(VALUE_NAMES) <= known


@pytest.mark.parametrize(
    ("name", "choices"),
    [
        ("export", [*target_names(), "all", *PRECISIONS, *SPECTRAL_LOWERINGS, *FLOAT_NAMES, "-t executorch,coreml"]),
        ("benchmark", [*target_names(), *PRECISIONS, *SPECTRAL_LOWERINGS, *FLOAT_NAMES]),
        ("train", [*recipe_names(), *(preset.name for preset in PRESETS), *FLOAT_NAMES]),
        ("data check", [preset.name for preset in PRESETS]),
    ],
)
def test_every_choice_that_there_is_is_listed(name: str, choices: list[str], run: Run):
    shown = help_of(run, name)
    assert [choice for choice in choices if choice not in shown] == []


def test_defaults_are_shown(run: Run):
    shown = help_of(run, "quantize")
    assert all(f"[default: {value}]" in shown for value in ("qat", 64, 200, "1e-06"))
    assert "[default: exports]" in help_of(run, "export")


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_command_that_prints_a_result_prints_json(name: str):
    options = [option for entry in COMMANDS[name].params for option in entry.opts]
    assert ("--json" in options) == (name not in PRINTS_NO_RESULT)


def complete(run: Run, monkeypatch: pytest.MonkeyPatch, shell: str, line: str) -> tuple[int, str]:
    """What a shell's script is given where the line ends."""
    monkeypatch.setenv("_S2M_EDGE_COMPLETE", f"complete_{shell}")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split()) - 1))
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", line)
    monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
    code, out, _ = run()
    return code, out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands(shell: str, run: Run, monkeypatch):
    """By Typer's own means: the shell's script asks the program."""
    code, out = complete(run, monkeypatch, shell, "s2m-edge exp")
    assert code == 0
    assert "export" in out
    assert "predict" not in out


@pytest.mark.parametrize("name", COMMANDS)
def test_a_shell_completes_the_options_of_every_command(name: str, run: Run, monkeypatch):
    code, out = complete(run, monkeypatch, "bash", f"s2m-edge {name} --")
    assert code == 0
    shown = [entry for entry in COMMANDS[name].params if entry.param_type_name == "option"]
    assert {entry.opts[0] for entry in shown} <= set(out.split())


def test_json_of_what_is_written(run: Run, elsewhere: Path):
    assert run("spec", "new", "mine.yaml", "--json") == (0, '{\n  "file": "mine.yaml"\n}\n', "")
