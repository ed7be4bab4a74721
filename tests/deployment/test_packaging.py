"""The rooms at the top are importable under one name, and imports stay light."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("room", ["train", "quantize", "targets", "apps"])
def test_rooms_at_the_top_are_imported_under_the_one_name(room):
    module = import_module(f"s2m_edge.{room}")
    assert module.__file__ is not None
    assert Path(module.__file__).resolve().parent == ROOT / room


def test_every_package_of_the_tree_is_packaged():
    """A folder left out of pyproject.toml would be missing from a wheel, and only there."""
    rooms = {"s2m_edge": "s2m_edge", "train": "s2m_edge.train", "quantize": "s2m_edge.quantize"}
    rooms |= {"targets": "s2m_edge.targets", "apps": "s2m_edge.apps"}
    found = set()
    for folder, name in rooms.items():
        for init in (ROOT / folder).rglob("__init__.py"):
            parts = init.parent.relative_to(ROOT / folder).parts
            inside_link = folder == "s2m_edge" and parts and parts[0] in rooms
            if not inside_link:
                found.add(".".join((name, *parts)))
    assert found == set(PROJECT["tool"]["setuptools"]["packages"])


def test_backends_and_torch_are_pinned_exactly():
    extras = PROJECT["project"]["optional-dependencies"]
    backends = [*extras["coreai"], *extras["coreml"], *extras["executorch"], *extras["openvino"], *extras["onnx"]]
    torch = [text for text in PROJECT["project"]["dependencies"] if text.startswith("torch")]
    assert len(torch) == 1
    assert all("==" in text for text in [*backends, *torch])


def test_importing_the_package_imports_no_torch_until_it_is_needed():
    program = (
        "import sys, s2m_edge\n"
        "assert 'torch' not in sys.modules\n"
        "from s2m_edge import S2MNet, S2MNetConfig\n"
        "assert 'torch' in sys.modules and S2MNet.__name__ == 'S2MNet'"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
