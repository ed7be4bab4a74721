"""The order of the floors: who may import whom. A room uses what lies below it, never what lies above.

Imports inside functions count too: they keep a start quick, and do not make a house of rings any better.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from s2m_edge.deploy.precision import DEFAULT_PRECISION, PRECISIONS

ROOT = Path(__file__).parents[2]
ROOMS = {"s2m_edge": "s2m_edge", "s2m_edge.train": "train", "s2m_edge.quantize": "quantize"}
ROOMS |= {"s2m_edge.targets": "targets", "s2m_edge.apps": "apps"}

# From the ground up; what shares a floor may import each other. A name stands for the module and all that is in it; the
# longest that fits counts.
FLOORS: tuple[tuple[str, ...], ...] = (
    (
        "s2m_edge.errors",
        "s2m_edge.process_wide",
        "s2m_edge.notice",
        "s2m_edge.bundled",
        "s2m_edge.installation",
        "s2m_edge.interrupts",
        "s2m_edge.console",
        "s2m_edge.versions",
        "s2m_edge.silence",
        "s2m_edge.text_files",
        "s2m_edge.telemetry",
        "s2m_edge.texts",
        "s2m_edge.processor",
    ),
    (
        "s2m_edge.exchange",
        "s2m_edge.leftovers",
        "s2m_edge.files",
        "s2m_edge.outputs",
        "s2m_edge.charts",
        "s2m_edge.devices",
    ),
    ("s2m_edge.native",),
    ("s2m_edge.imaging",),
    ("s2m_edge.samples",),
    ("s2m_edge.network",),
    ("s2m_edge.deploy",),
    ("s2m_edge.checkpoint", "s2m_edge.opened_network"),
    ("s2m_edge.train",),
    ("s2m_edge.quantize",),
    (
        "s2m_edge.targets.registry",
        "s2m_edge.targets.base",
        "s2m_edge.targets.look",
        "s2m_edge.targets.lean",
    ),  # the table, what its rows name, and what all lower with
    (
        "s2m_edge.targets.quiet",
        "s2m_edge.targets.half_storage",
        "s2m_edge.targets.deployed",
        "s2m_edge.targets.rewrites",
    ),
    ("s2m_edge.targets",),  # the adapters, one folder each
    ("s2m_edge.targets.opening",),
    ("s2m_edge.targets.measure",),
    ("s2m_edge.targets.export", "s2m_edge.targets.predict", "s2m_edge.targets.bundle_page"),
    ("s2m_edge.targets.study", "s2m_edge.targets.check"),
    ("s2m_edge.targets.measure.benchmark", "s2m_edge.targets.archive"),
    ("s2m_edge.api",),
    ("s2m_edge.train.gpu_day",),  # a command: trains, records and measures
    ("s2m_edge.apps",),
    ("s2m_edge.cli",),
)
HEIGHT = {name: height for height, names in enumerate(FLOORS) for name in names}
FACADE = "s2m_edge"
"""The package itself only re-exports, and is imported by all for its version."""

ADAPTERS = sorted(path.parent.name for path in (ROOT / "targets").glob("*/run.py"))


def modules() -> Iterator[tuple[str, Path]]:
    for room, folder in ROOMS.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            inside_link = folder == "s2m_edge" and parts[0] in ROOMS.values()
            if not inside_link and "node_modules" not in parts:
                yield ".".join((room, *(part for part in parts if part != "__init__"))), path


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in NAMES else node.module


NAMES = {name for name, _ in modules()}


def floor_of(module: str) -> str:
    fitting = [name for name in HEIGHT if module == name or module.startswith(f"{name}.")]
    assert fitting, f"{module} stands on no floor: add it to the table"
    return max(fitting, key=len)


def test_nothing_imports_what_lies_above_it():
    wrong = []
    for name, path in modules():
        if name == FACADE or path.name == "__main__.py":  # an entry point stands beside what it starts
            continue
        own = floor_of(name)
        for other in imported(path):
            if not other.startswith("s2m_edge.") or other == FACADE:
                continue
            if HEIGHT[floor_of(other)] > HEIGHT[own]:
                wrong.append(f"{name} imports {other}")
    assert wrong == []


def test_no_target_imports_another():
    wrong = []
    for name, path in modules():
        own = name.split(".")[2] if name.startswith("s2m_edge.targets.") else ""
        for other in imported(path) if own in ADAPTERS else ():
            parts = other.split(".")
            if other.startswith("s2m_edge.targets.") and parts[2] in ADAPTERS and parts[2] != own:
                wrong.append(f"{name} imports {other}")
    assert wrong == []
    assert len(ADAPTERS) >= 5


@pytest.mark.parametrize("word", ["kernel", "reference", "bundle", "bundles", "kernels"])
def test_a_name_that_several_could_claim_is_one_files(word: str):
    """A command's file is called like the command."""
    found = [name for name, path in modules() if path.stem == word and ".cli." not in name]
    assert len(found) <= 1, found


def test_what_is_true_of_any_network_knows_none():
    """`deploy` and the adapters take an nn.Module and a specification; S2M-Net's own class is named nowhere there."""
    named = [
        name
        for name, path in modules()
        if name.startswith(("s2m_edge.deploy", "s2m_edge.targets"))
        and not name.startswith("s2m_edge.targets.measure")
        and any(other.startswith(("s2m_edge.network.model", "s2m_edge.network.config")) for other in imported(path))
    ]
    assert named == []


def test_precisions_are_named_in_their_table_and_by_the_exporters_alone():
    """A new precision is one row and the exporters' branches; apps choose theirs by name, and are data too."""
    allowed = ("s2m_edge.deploy.precision", "s2m_edge.targets.registry", "s2m_edge.apps", "s2m_edge.train")
    allowed += tuple(f"s2m_edge.targets.{adapter}" for adapter in ADAPTERS)
    words = {name for name in PRECISIONS if name != DEFAULT_PRECISION}  # which is a number's type too
    named = [
        f"{name}: {node.value}"
        for name, path in modules()
        if not name.startswith(allowed)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value in words
    ]
    assert named == []
