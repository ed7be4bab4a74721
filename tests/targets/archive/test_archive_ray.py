"""Ray Data gives what the processes of this machine give, and leaves nothing behind."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from command_line import Run
from support import assert_one_line_error

ROOT = Path(__file__).parents[3]
HAS_RAY = importlib.util.find_spec("ray") is not None and importlib.util.find_spec("pyarrow") is not None


@pytest.mark.slow
@pytest.mark.skipif(not HAS_RAY, reason="Ray Data is not installed: pip install s2m-edge[archive]")
def test_two_actors_give_what_two_processes_give_byte_for_byte(
    run: Run,
    small_bundle: Path,
    listed: Path,
    pictures: list[Path],
    tmp_path: Path,
    contents: Callable[[Path], dict[str, bytes]],
):
    """In a process of its own, as Ray keeps a part of itself in each that it was in."""
    with listed.open("a") as table:
        table.write("pictures/absent.png\n")
    options = ("--workers", "2", "--threads", "1", "--json")
    code, printed, _ = run("predict", small_bundle, "--manifest", listed, "--out", tmp_path / "local", *options)
    assert code == 2
    local = json.loads(printed)
    home = tmp_path / "home"
    home.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(home), "RAY_ADDRESS": "192.0.2.1:6379"}
    command = [sys.executable, "-m", "s2m_edge.cli.main", "predict", str(small_bundle), "--manifest", str(listed)]
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "ray"), "--engine", "ray", *options],
        env=environment,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    if "error: Ray cannot be started" in done.stderr:
        pytest.skip(f"this machine lets Ray start no cluster: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 2, done.stderr
    found = json.loads(done.stdout)
    for name in ("items", "done", "skipped", "failed", "failures"):
        assert found[name] == local[name], name
    assert (found["done"], found["failed"]) == (4, 1)
    assert contents(tmp_path / "ray") == contents(tmp_path / "local")
    assert list(home.iterdir()) == [], "Ray left something in the user's folder"
    assert [line for line in done.stderr.splitlines() if not line.startswith(("warning:", "error:")) and line] == []
    left = [line for line in _processes() if "raylet" in line and str(home) in line]
    assert left == []


def _processes() -> list[str]:
    """Command lines and environments of what runs, as far as they can be read."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            found.append(
                ((folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()).decode("utf-8", "replace")
            )
        except OSError:
            continue
    return found


def test_without_ray_its_engine_names_the_extra(
    run: Run, small_bundle: Path, listed: Path, tmp_path: Path, monkeypatch
):
    honest = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "ray" else honest(name, *rest))
    result = run("predict", small_bundle, "--manifest", listed, "--out", tmp_path / "out", "--engine", "ray")
    assert_one_line_error(*result, "Ray Data is not installed", "[archive]")
    assert not (tmp_path / "out").exists()
