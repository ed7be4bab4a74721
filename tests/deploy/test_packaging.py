"""The rooms at the top are importable under one name, and imports stay light."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import yaml

from s2m_edge.targets.registry import TARGETS

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("room", ["train", "quantize", "targets", "apps"])
def test_rooms_at_the_top_are_imported_under_the_one_name(room):
    module = import_module(f"s2m_edge.{room}")
    assert module.__file__ is not None
    assert Path(module.__file__).resolve().parent == ROOT / room


def test_every_package_of_the_tree_is_packaged():
    """A folder that is left out would be missing from a wheel, and only there."""
    rooms = {"s2m_edge": "s2m_edge", "train": "s2m_edge.train", "quantize": "s2m_edge.quantize"}
    rooms |= {"targets": "s2m_edge.targets", "apps": "s2m_edge.apps"}
    found = set()
    for folder, name in rooms.items():
        for init in (ROOT / folder).rglob("__init__.py"):
            parts = init.parent.relative_to(ROOT / folder).parts
            inside_link = folder == "s2m_edge" and parts and parts[0] in rooms
            if not inside_link and "node_modules" not in parts:
                found.add(".".join((name, *parts)))
    specification = spec_from_file_location("project_setup", ROOT / "setup.py")
    assert specification is not None
    assert specification.loader is not None
    setup = module_from_spec(specification)
    specification.loader.exec_module(setup)
    assert found == set(setup.find_packages())
    assert {folder for folder in setup.ROOMS.values() if not (ROOT / folder).is_dir()} == set()


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_every_target_has_an_extra_that_pins_its_runtime(target):
    wanted = [text.partition(";")[0].strip() for text in PROJECT["project"]["optional-dependencies"][target.extra]]
    assert all("==" in text for text in wanted), "found to fit together: parity is stated for these versions"
    assert target.distribution in {text.partition("==")[0] for text in wanted}
    assert target.extra in PROJECT["project"]["optional-dependencies"]["all"][0]


def test_torch_is_pinned_exactly():
    torch = [text for text in PROJECT["project"]["dependencies"] if text.startswith("torch")]
    assert len(torch) == 1
    assert "==" in torch[0]


def test_importing_the_package_imports_no_torch_until_it_is_needed():
    program = (
        "import sys, s2m_edge\n"
        "assert 'torch' not in sys.modules\n"
        "from s2m_edge import S2MNet, S2MNetConfig\n"
        "assert 'torch' in sys.modules and S2MNet.__name__ == 'S2MNet'"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_the_citation_is_of_this_version_and_licence():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (cited["version"], cited["license"]) == (PROJECT["project"]["version"], PROJECT["project"]["license"])
    assert (cited["cff-version"], cited["type"]) == ("1.2.0", "software")
    assert all(cited[key] for key in ("message", "title", "authors"))


@pytest.mark.parametrize("link", ["apps/web/src/core/contract-2.json", "apps/vectors/refusals/link/parity.json"])
def test_links_of_the_tree_came_as_links(link: str):
    """A copy of the tree that turned them into small files builds no page, and proves nothing about links."""
    assert (ROOT / link).is_symlink()
    assert (ROOT / link).is_file()
