"""The phone apps' sources: they parse, their logic passes its own tests where a compiler is, and say the notice."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from s2m_edge.notice import NOTICE

APPS = Path(__file__).parents[2] / "apps"
SWIFT = sorted((APPS / "ios").rglob("*.swift"))
KOTLIN = sorted(path for path in (APPS / "android").rglob("*.kt*") if path.suffix in (".kt", ".kts"))
NOT_HERE = 3


def mistakes(language: object, source: bytes) -> list[str]:
    """Places that tree-sitter cannot parse."""
    from tree_sitter import Language, Parser

    tree = Parser(Language(language)).parse(source)
    found, stack = [], [tree.root_node]
    while stack:
        node = stack.pop()
        if node.is_error or node.is_missing:
            found.append(f"line {node.start_point.row + 1}: {source[node.start_byte : node.start_byte + 40]!r}")
        if node.has_error:
            stack.extend(node.children)
    return found


def built(path: Path) -> bool:
    return bool({".build", "build", "node_modules", "DerivedData"} & set(path.relative_to(APPS).parts))


@pytest.mark.parametrize("path", [path for path in SWIFT if not built(path)], ids=lambda path: path.stem)
def test_every_swift_file_parses(path: Path):
    import tree_sitter_swift

    assert mistakes(tree_sitter_swift.language(), path.read_bytes()) == []


@pytest.mark.parametrize("path", [path for path in KOTLIN if not built(path)], ids=lambda path: path.name)
def test_every_kotlin_file_parses(path: Path):
    import tree_sitter_kotlin

    assert mistakes(tree_sitter_kotlin.language(), path.read_bytes()) == []


def test_the_syntax_check_finds_mistakes():
    import tree_sitter_kotlin
    import tree_sitter_swift

    assert mistakes(tree_sitter_swift.language(), b"func f( { let x = }")
    assert mistakes(tree_sitter_kotlin.language(), b"fun f( { val x = }")


@pytest.mark.parametrize("app", ["ios", "android"])
def test_both_apps_state_the_notice_once(app: str):
    """One constant in the logic; the shells take it from there."""
    sources = [path for path in (SWIFT if app == "ios" else KOTLIN) if not built(path) and "est" not in path.stem]
    stating = [path.stem for path in sources if NOTICE in path.read_text(encoding="utf-8")]
    assert stating == ["Contract"]
    shell = [path for path in sources if "S2MEdgeKit" not in path.parts and "logic" not in path.parts]
    assert any("Contract.notice" in text or "Contract.NOTICE" in text for text in map(Path.read_text, shell))


def run_script(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        ["bash", str(APPS / script)],
        capture_output=True,
        text=True,
        timeout=900,
        env={**os.environ, **environment},
        check=False,
    )
    if done.returncode == NOT_HERE:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    return done


@pytest.mark.slow
def test_the_ios_apps_logic_passes_its_tests(tmp_path: Path, foreign: Any, export_foreign: Any):
    """Only where a Swift toolchain is (2.8 GB, and a minute of compiling, are too much to install for every check).

    A rectangular network's bundle is among what is opened.
    """
    pytest.importorskip("executorch")
    if shutil.which("swift") is None and "S2M_EDGE_SWIFT_ROOT" not in os.environ:
        pytest.skip("no swift on the PATH, and S2M_EDGE_SWIFT_ROOT names no folder with Debian's swiftlang")
    bundle = export_foreign(foreign, "executorch").folder  # of any target: no network runs here
    done = run_script("ios/test-kit.sh", S2M_EDGE_SWIFT_BUILD=str(tmp_path / "build"), S2M_EDGE_BUNDLE=str(bundle))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert re.search(r"Executed [3-9]\d tests, with .*0 failures", done.stdout + done.stderr)


@pytest.mark.slow
def test_the_android_apps_logic_passes_its_tests(tmp_path: Path, foreign: Any, export_foreign: Any):
    """A rectangular network's bundle is among what is opened."""
    pytest.importorskip("executorch")
    bundle = export_foreign(foreign, "executorch").folder
    done = run_script(
        "android/test-logic.sh", S2M_EDGE_ANDROID_BUILD=str(tmp_path / "build"), S2M_EDGE_BUNDLE=str(bundle)
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert re.search(r"OK \([3-9]\d tests\)", done.stdout), done.stdout[-3000:]


@pytest.mark.parametrize("script", ["ios/test-kit.sh", "android/test-logic.sh"])
def test_without_a_toolchain_the_scripts_say_what_is_missing(script: str, tmp_path: Path):
    """A PATH with the few tools that the scripts begin with, and nothing else."""
    for tool in ("bash", "dirname", "readlink", "id", "grep"):
        (tmp_path / tool).symlink_to(shutil.which(tool) or tool)
    done = subprocess.run(
        ["bash", str(APPS / script)],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": str(tmp_path)},
        check=False,
    )
    assert done.returncode == NOT_HERE
    assert done.stderr.startswith("note: no ")
