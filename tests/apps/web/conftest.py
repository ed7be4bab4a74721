"""The built page, small bundles, and the tools that the web app's tests need; what is missing is said."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from s2m_edge.apps.bundles import find_or_export_bundle
from s2m_edge.apps.web.build import APP, ensure_built, install_packages, node_environment
from s2m_edge.checkpoint import save_checkpoint
from s2m_edge.errors import MissingBackendError
from support import lively_network

RunNode = Callable[..., str]


@pytest.fixture(scope="session")
def node() -> dict[str, str]:
    """The environment that has node and npm."""
    try:
        return node_environment()
    except MissingBackendError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def packages(node: dict[str, str]) -> dict[str, str]:
    """The same, with the app's packages installed."""
    install_packages(node)
    return node


@pytest.fixture(scope="session")
def dist(node: dict[str, str]) -> Path:
    """The built page."""
    return ensure_built()


@pytest.fixture(scope="session")
def chromium() -> str:
    """Debian's Chromium."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium on the PATH (Debian: apt install chromium)")
    return found


@pytest.fixture(scope="session")
def run_node(packages: dict[str, str]) -> RunNode:
    """Run node in the app's folder; a failure is the test's, with all that was printed."""

    def run(*arguments: str, timeout: float = 300, **variables: str) -> str:
        program = shutil.which("node", path=packages["PATH"])
        assert program is not None
        done = subprocess.run(
            [program, *arguments],
            cwd=APP,
            env={**packages, "S2M_EDGE_PYTHON": sys.executable, **variables},
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=timeout,
        )
        if done.returncode != 0:
            pytest.fail(f"node {' '.join(arguments)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}", False)
        return done.stdout

    return run


@pytest.fixture(scope="session")
def small_bundles(small_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Bundles at 96 px: two precisions, three grey classes, one to be changed, one with false golden outputs."""
    folder = tmp_path_factory.mktemp("web-bundles")
    classes = folder / "classes.safetensors"
    network = lively_network(classes=3, in_channels=1, seed=3)
    save_checkpoint(classes, network, {"dataset": "none", "domain": "cardiac", "class_names": ["wall", "cavity"]})
    bundles = {
        "float32": find_or_export_bundle("onnx", small_checkpoint, folder=folder).folder,
        "float16": find_or_export_bundle("onnx", small_checkpoint, "float16", folder=folder).folder,
        "classes": find_or_export_bundle("onnx", classes, folder=folder).folder,
    }
    bundles["otherArtifact"] = _renamed(bundles["float32"], folder / "changed", "other-artifact")
    bundles["otherGolden"] = _renamed(bundles["float32"], folder / "golden", "other-golden")
    _shift_golden(bundles["otherGolden"] / "golden.safetensors")
    return bundles


def _renamed(bundle: Path, copy: Path, name: str) -> Path:
    """A copy whose contract names another checkpoint file, so that the page lists it under another name."""
    shutil.copytree(bundle, copy)
    contract = copy / "contract.json"
    values = json.loads(contract.read_text(encoding="utf-8"))
    values["checkpoint"]["file"] = f"{name}.safetensors"
    contract.write_text(json.dumps(values), encoding="utf-8")
    return copy


def _shift_golden(path: Path) -> None:
    from dataclasses import replace

    from s2m_edge.reference import read_golden, write_golden

    golden, metadata = read_golden(path)
    kept = {key: value for key, value in metadata.items() if not key.startswith("name.") and key != "count"}
    write_golden(path, [replace(entry, logits=entry.logits + np.float32(0.05)) for entry in golden], kept)


def pytest_configure(config: pytest.Config) -> None:
    """Nothing of this looks for proxies: everything is on this machine."""
    os.environ.setdefault("NO_PROXY", "localhost,127.0.0.1")
