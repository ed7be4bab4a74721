"""What a bundle says to who finds it: its README.md, and the commands that follow."""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import typer

import s2m_edge
from page_blocks import FENCE
from pages import ROOT
from s2m_edge.cli.main import app
from s2m_edge.deploy.bundle import open_bundle
from s2m_edge.deploy.contract import read_contract
from s2m_edge.errors import ContractError
from s2m_edge.native import find_compiler
from s2m_edge.samples import sample_images
from s2m_edge.targets.bundle_page import PAGE_FILE, next_commands
from s2m_edge.targets.registry import TARGETS, Target, find_target

LANGUAGES = {"kotlin", "swift", "cpp", "js"}
NAMES = {
    "ARTIFACT": "s2mnet",
    "INPUT": "image",
    "OUTPUT": "probabilities",
    "CHANNELS": "3",
    "HEIGHT": "96",
    "WIDTH": "64",
}


def snippets(target: Target) -> dict[str, str]:
    """A target's code by its language, as of a network of 96 x 64."""
    text = (ROOT / "targets" / target.name / "usage.md").read_text(encoding="utf-8")
    for name, value in NAMES.items():
        text = text.replace(f"@{name}@", value)
    assert "@" not in text
    return dict(FENCE.findall(text))


def parses(language: str, code: str) -> bool:
    from tree_sitter import Language, Parser

    found = {"swift": "tree_sitter_swift", "kotlin": "tree_sitter_kotlin"}
    return (
        not Parser(Language(importlib.import_module(found[language]).language()))
        .parse(code.encode())
        .root_node.has_error
    )


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_every_target_has_code_in_a_language_of_its_devices_that_parses(target: Target):
    found = snippets(target)
    assert set(found)
    assert set(found) <= LANGUAGES
    for language in set(found) & {"swift", "kotlin"}:
        assert parses(language, found[language])
        assert not parses(language, found[language].replace("(", "[", 1))


@pytest.mark.parametrize("name", ["executorch", "openvino"])
@pytest.mark.skipif(find_compiler() is None, reason="no C++ compiler")
def test_code_in_cpp_compiles_against_the_runtimes_headers(name: str, tmp_path: Path):
    package = importlib.util.find_spec(name)
    if package is None or not package.submodule_search_locations:
        pytest.skip(f"{name} is not installed")
    include = Path(package.submodule_search_locations[0]) / "include"
    source = tmp_path / "usage.cpp"
    source.write_text("#include <cstdint>\n#include <vector>\n" + snippets(find_target(name))["cpp"])
    portable = include / "executorch/runtime/core/portable_type/c10"
    words = [
        "-std=c++17",
        "-fsyntax-only",
        "-w",
        f"-I{include}",
        f"-I{portable}",
        "-DC10_USING_CUSTOM_GENERATED_MACROS",
    ]
    done = subprocess.run([str(find_compiler()), *words, str(source)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_javascript_is_no_syntax_error(tmp_path: Path):
    node = shutil.which("node")
    if node is None:
        pytest.skip("no Node.js")
    source = tmp_path / "usage.mjs"
    source.write_text(snippets(find_target("onnx"))["js"])
    assert subprocess.run([node, "--check", str(source)]).returncode == 0


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_the_commands_that_follow_are_understood(target: Target):
    steps = next_commands(target.name, Path("my exports/bundle"))
    assert 2 <= len(steps) <= 3
    for command, what in steps:
        words = shlex.split(command)
        assert "my exports/bundle" in words
        assert what
        if words[0] == "cp":
            assert (ROOT / words[-1]).is_dir() or words[-1].endswith("assets/models/")
            continue
        entry, name = typer.main.get_command(app), words.pop(0)
        while hasattr(entry, "commands"):
            name = words.pop(0)
            entry = entry.commands[name]  # type: ignore[attr-defined]
        entry.make_context(name, words)


@pytest.fixture
def bundle(exported) -> Path:
    return exported(find_target("onnx"), "float32", "matmul").folder


def test_the_page_is_one_of_the_bundles_files(bundle: Path, tmp_path: Path):
    assert PAGE_FILE in read_contract(bundle).files
    copy = shutil.copytree(bundle, tmp_path / "copy")
    (copy / PAGE_FILE).write_text("something else")
    with pytest.raises(ContractError, match="SHA-256 differs"):
        open_bundle(copy)


def test_its_figures_and_its_files_are_the_bundles(bundle: Path):
    page, contract = (bundle / PAGE_FILE).read_text(), read_contract(bundle)
    figures = contract.values["parity"]["figures"]
    assert page.startswith(f"# {bundle.name}\n\n> Research use only. Not a medical device.\n")
    assert f"| largest probability error | {figures['max_probability_error']:.1e} |" in page
    listed = set(re.findall(r"^- `([^`]+)`", page, re.MULTILINE))
    assert listed == {"contract.json", *contract.files} - {PAGE_FILE}


def test_its_python_runs(bundle: Path, monkeypatch, tmp_path: Path, capsys):
    shutil.copytree(bundle, tmp_path / bundle.name)
    shutil.copy(sample_images("skin")[0], tmp_path / "picture.png")
    monkeypatch.chdir(tmp_path)
    [code] = [code for language, code in FENCE.findall((bundle / PAGE_FILE).read_text()) if language == "python"]
    exec(compile(code, "page", "exec"), {"s2m_edge": s2m_edge})
    assert "Research use only" in capsys.readouterr().out
