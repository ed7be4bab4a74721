"""What the tests of archives share: a bundle of a small network, real pictures, and a list of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from networks import plain_u_net
from s2m_edge.targets.export import export_bundle
from s2m_edge.targets.registry import find_target


@pytest.fixture(scope="session")
def small_bundle(polyp_images: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle for ONNX Runtime, 96 x 64 pixels."""
    network, spec = plain_u_net(96, 64)
    folder = tmp_path_factory.mktemp("archive") / "bundle"
    export_bundle(find_target("onnx"), network, spec, precision="float32", images=polyp_images[:1], out=folder)
    return folder


@pytest.fixture
def pictures(polyp_images: list[Path], tmp_path: Path) -> list[Path]:
    """Four real pictures in a folder, which may be changed."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for path in polyp_images[:4]:
        (folder / path.name).write_bytes(path.read_bytes())
    return sorted(folder.iterdir())


@pytest.fixture
def listed(pictures: list[Path], tmp_path: Path) -> Path:
    """A manifest of them."""
    table = tmp_path / "studies.csv"
    table.write_text("path\n" + "".join(f"pictures/{path.name}\n" for path in pictures))
    return table


@pytest.fixture
def contents() -> Callable[[Path], dict[str, bytes]]:
    """Every file of an archive but its ledger, which holds times, and its lock."""

    def read(folder: Path) -> dict[str, bytes]:
        found = [path for path in folder.rglob("*") if path.is_file() and path.name not in ("ledger.jsonl", ".lock")]
        return {os.fspath(path.relative_to(folder)): path.read_bytes() for path in found}

    return read
