"""Following the README: every block is found, and a command that fails or a promise that is broken is told."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import follow_readme
from follow_readme import INSTEAD, NOT_RUN, QUICK, SNIPPET, WITHOUT, follow, main, steps_of, unchecked
from page_blocks import blocks_of
from pages import README, text_of
from readme_promises import compare_printed

ENTER = "First `source .venv/bin/activate`.\n"
TABLE = """
 target          verdict         error   Dice  ms   MB gate
 ───────────────────────────────────────────────────────────
 onnx float32    executed      1.4e-06 1.0000 144 20.2 passed
 coreml float32  graph parity  1.4e-06 1.0000   - 20.2 passed
"""


def block(content: str, language: str = "sh") -> str:
    return f"```{language}\n{content}\n```\n"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """With an environment to enter, in which `hello` is a command and `python` prints what it is given."""
    programs = tmp_path / "clone" / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "activate").write_text(f'PATH="{programs}:$PATH"\n')
    for name, does in (("hello", 'echo "hello $*, $HOME"'), ("python", 'cat "$1"')):
        (programs / name).write_text(f"#!/bin/sh\n{does}\n")
        (programs / name).chmod(0o755)
    (tmp_path / "home").mkdir()
    return tmp_path / "clone"


def wrong(clone: Path, readme: str, reasons: dict[str, str] | None = None) -> list[str]:
    (clone / "README.md").write_text(readme)
    return follow(clone, clone.parent / "home", reasons or {})


def test_every_block_of_the_readme_is_followed():
    text = text_of(README)
    steps = steps_of(text)
    assert len(steps) + sum(bool(step.printed) for step in steps) == len(blocks_of(text))
    assert [step.entered for step in steps] == [False, True, True, True]
    commands = [line.command for step in steps for line in step.lines]
    assert commands[0] == "make demo"
    assert f"python {SNIPPET}" in commands
    assert sum(command.startswith("s2m-edge ") for command in commands) >= 7
    assert {"demo-output/overlays/", "exports/", "predictions/"} <= {path for step in steps for path in step.paths}


def test_what_the_readme_says_of_its_commands_is_checked():
    assert unchecked(steps_of(text_of(README)), NOT_RUN) == []
    assert unchecked(steps_of(text_of(README) + block("s2m-edge info  # the weather")), NOT_RUN) == [
        "nothing checks: the weather"
    ]
    assert len(unchecked([], NOT_RUN)) == len(follow_readme.SAID)


def test_commands_run_in_the_clone_with_a_home_of_their_own(clone: Path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    readme = block("pwd > place\necho $PYTHONPATH/$HOME > home") + "`place/`, as `home/it` is not"
    assert wrong(clone, readme) == ["not there: home/it"]
    assert (clone / "place").read_text().strip() == str(clone)
    assert (clone / "home").read_text().strip() == f"/{clone.parent / 'home'}"


def test_the_environment_is_entered_where_the_page_says_so(clone: Path):
    assert wrong(clone, block("hello")) == ["hello ended with 127"]
    assert wrong(clone, ENTER + block("hello you") + block(f"hello you, {clone.parent / 'home'}", "")) == []


def test_a_snippet_is_run_and_what_it_prints_is_compared(clone: Path):
    snippet = block("print(1)", "python")
    assert wrong(clone, ENTER + snippet + block("print(1)", "")) == []
    assert wrong(clone, ENTER + snippet + block("print(2)", "")) == ["not printed: print(2)"]


def test_a_command_that_fails_ends_it(clone: Path):
    assert wrong(clone, block("false\ntouch never") + block("touch never")) == ["false ended with 1"]
    assert not (clone / "never").exists()


def test_a_comment_that_is_not_true_is_told(clone: Path, monkeypatch):
    monkeypatch.setattr(follow_readme, "SAID", {"says hello": lambda output, place: "hello" in output})
    assert wrong(clone, block("echo hello  # says hello")) == []
    assert wrong(clone, block("echo no  # says hello")) == ["echo no: not so: says hello"]


def test_a_command_that_is_not_run_is_named_with_its_reason(clone: Path, capsys):
    assert wrong(clone, block("touch never") + "leaves `never/there`", {"^touch": WITHOUT}) == []
    assert f"not run: touch never ({WITHOUT})" in capsys.readouterr().out
    assert not (clone / "never").exists()


def test_quick_takes_the_bundles_of_the_demo(clone: Path):
    demo = "mkdir -p demo-output/bundles && touch demo-output/bundles/one"
    export = "s2m-edge export --target all --images my/images/"
    assert wrong(clone, block(f"{demo}\n{export}") + "`exports/one`", QUICK) == []
    commands = [line.command for step in steps_of(text_of(README)) for line in step.lines]
    assert export in commands
    assert [pattern for pattern in INSTEAD if pattern not in QUICK] == []


def test_a_block_that_nobody_can_follow_is_refused():
    with pytest.raises(ValueError, match="yaml"):
        steps_of(block("a: 1", "yaml"))


@pytest.mark.parametrize(
    ("was", "printed", "kept"),
    [
        ("144", "2.5", True),
        ("1.4e-06 1.0000 144", "9.9e-06 1.0000 144", True),
        ("1.4e-06 1.0000 144", "9.9e-05 1.0000 144", False),
        ("1.0000 144", "0.9000 144", False),
        ("20.2 passed", "20.4 passed", True),
        ("20.2 passed", "31.0 passed", False),
        ("20.2 passed", "20.2 failed", False),
        ("─────", "───", True),
        ("graph parity", "executed", False),
    ],
)
def test_figures_of_the_machine_may_differ_and_nothing_else(was: str, printed: str, kept: bool):
    assert was in TABLE
    assert (compare_printed(TABLE, f"before\n{TABLE.replace(was, printed)}\nafter") == []) is kept


def test_a_promised_line_has_its_place():
    assert compare_printed("one\ntwo", "one\n\ntwo") == []
    assert compare_printed("one\ntwo", "two\none") == ["not printed: two"]


def test_the_clone_is_left_as_it_was(clone: Path, monkeypatch, capsys):
    subprocess.run(["git", "init", "--quiet", str(clone)], check=True)
    (clone / "README.md").write_text(block("touch made"))
    (clone / "own").write_text("")
    monkeypatch.setattr("sys.argv", ["follow_readme.py", str(clone)])
    assert main() == 0
    assert (clone / "own").exists()
    assert not (clone / "made").exists()
    (clone / "README.md").write_text(block("touch made; false"))
    assert main() == 1
    assert "error: touch made; false ended with 1" in capsys.readouterr().out
