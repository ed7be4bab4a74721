"""The blocks of README and docs, run in the order of the pages: Python as it stands, shell line by line.

The bundled checkpoints' names stand for a small one with random weights; DATA, my/images/, my_networks and the other
places that pages speak of are made here. What is not run is skipped with its reason, which pytest prints.
"""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

import s2m_edge
from command_line import Run
from pages import PAGES, blocks, name_of, shell_lines
from reader import fill_in, write_readers_files
from s2m_edge import checkpoint

NOT_RUN = {
    r"^(make|apt|source|bash|cmake|cp|UBSAN_OPTIONS|valgrind|python )": "builds, sets up or tests the toolkit itself",
    r"^pip install": "changes the environment; tests/deploy/test_packaging.py compares extras with what is installed",
    r"^s2m-edge train": "trains for hours; tests/train",
    r"^s2m-edge (quantize|sensitivity|gate)": "measures for minutes; tests/quantize, tests/targets/measure",
    r"^s2m-edge check": "wants a configuration; tests/cli/test_check_command.py, tests/tools/test_check_ci.py",
    r"^s2m-edge benchmark": "takes minutes; tests/targets/measure/benchmark",
    r"--gate gate.json": "shows files of commands that are not run; tests/targets/measure/page",
    r"^s2m-edge (demo|serve)": "starts an app; tests/apps",
    r"^s2m-edge export (?!.*(-t|--target) (onnx|openvino)( |$))": "lowers to slow targets; tests/targets",
    r"basic-unet": "a large network of that page's own; tests/targets/test_any_network.py",
    r"--spectral custom": "builds a native kernel; tests/targets",
    r"exports/\*": "needs the artifacts of lines that are not run",
}


def reason_against(line: str) -> str:
    """Why a line is not run; empty where it is."""
    return next((why for pattern, why in NOT_RUN.items() if re.search(pattern, line)), "")


LINES = [
    pytest.param(
        line,
        id=f"{name_of(page)}: {line}"[:100],
        marks=[pytest.mark.skip(reason=f"not run: {why}")] if (why := reason_against(line)) else [],
    )
    for page in PAGES
    for line in dict.fromkeys(shell_lines(page))
]
SCRIPTS = [pytest.param(blocks(page, "python"), id=name_of(page)) for page in PAGES if blocks(page, "python")]


@pytest.fixture(scope="module")
def place(small_checkpoint: Path, tmp_path_factory) -> Path:
    """A working folder that holds what pages speak of."""
    folder = tmp_path_factory.mktemp("reader")
    write_readers_files(folder)
    (folder / "bundled").mkdir()
    for name, path in checkpoint.BUNDLED_CHECKPOINTS.items():
        if not name.endswith(checkpoint.QUANTIZED_SUFFIX):
            shutil.copy(small_checkpoint, folder / "bundled" / path.name)
    for name in ("my.safetensors", "a.safetensors", "b.safetensors", "runs/polyp/phase-1/best.safetensors"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(small_checkpoint, folder / name)
    return folder


@pytest.fixture(autouse=True)
def reader(place: Path, monkeypatch, run: Run) -> None:
    """Someone in that folder, whose bundled checkpoints are small ones."""
    for name, path in list(checkpoint.BUNDLED_CHECKPOINTS.items()):
        monkeypatch.setitem(checkpoint.BUNDLED_CHECKPOINTS, name, place / "bundled" / path.name)
    monkeypatch.chdir(place)
    monkeypatch.syspath_prepend(place)
    for target in ("openvino", "onnx"):
        if not (place / "exports" / f"s2mnet-polyp-352-{target}-float32").exists():
            s2m_edge.export("polyp", target=target, images="my/images/", limit=1)
    if not (place / "before").exists():
        shutil.copytree(place / "exports", place / "before")
        assert run("reference", "record", "--images", "my/images", "--out", "before")[0] == 0
        shutil.copytree(place / "before", place / "references", ignore=shutil.ignore_patterns("s2mnet-*"))


@pytest.mark.parametrize("script", SCRIPTS)
def test_python_of_a_page_runs(script: list[str]):
    space: dict[str, object] = {"__name__": "page"}
    for block in script:
        exec(compile(block, "page", "exec"), space)


@pytest.mark.parametrize("line", LINES)
def test_a_line_for_the_shell_runs(line: str, run: Run, place: Path):
    recorded = next((place / "before").glob("*.safetensors")).stem
    words = shlex.split(line.replace("HASH", recorded))
    assert words.pop(0) == "s2m-edge", "say in NOT_RUN why it is not run, or how to"
    if words[:2] == ["spec", "new"]:
        Path(words[2]).unlink(missing_ok=True)
    code, _, err = run(*words)
    assert code == 0, err
    if words[:2] == ["spec", "new"]:  # the reader fills it in
        s2m_edge.read_spec(Path(words[2]))
        fill_in(Path(words[2]))


def test_no_reason_is_left_over():
    lines = [line for page in PAGES for line in shell_lines(page)]
    unused = [pattern for pattern in NOT_RUN if not any(re.search(pattern, line) for line in lines)]
    assert unused == []
    assert len({line for line in lines if not reason_against(line)}) >= 20
    assert len(SCRIPTS) >= 4


def test_a_picture_that_pages_speak_of_shows_the_object(place: Path):
    """So that what pages print of it says something."""
    found = s2m_edge.load_bundle("exports/s2mnet-polyp-352-onnx-float32").predict("colon.png")
    assert 0 < found.areas["polyp"] < found.labels.size
    assert np.any(found.labels)
