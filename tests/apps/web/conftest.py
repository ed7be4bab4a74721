"""The built page, small bundles, and the tools that the web app's tests need; what is missing is said."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from half_adapter import half_adapter_browser
from web_support import change_contract

from once import once
from s2m_edge.apps.prepare import find_or_export_bundle
from s2m_edge.apps.web.build import APP, Node, ensure_built, find_node, install_packages
from s2m_edge.checkpoint import guard_beside, load_model, locate_checkpoint, read_header, save_checkpoint
from s2m_edge.deploy.bundle import open_bundle
from s2m_edge.deploy.guard import GUARD_FILE
from s2m_edge.errors import MissingBackendError
from s2m_edge.files import file_sha256
from s2m_edge.network.model import S2MNet
from s2m_edge.samples import sample_images
from support import NARROW, decided, lively_network, save_quantized

RunNode = Callable[..., str]


@pytest.fixture(scope="session")
def node() -> Node:
    """Node and npm."""
    try:
        return find_node()
    except MissingBackendError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def packages(node: Node) -> Node:
    """The same, with the app's packages installed."""
    install_packages(node)
    return node


@pytest.fixture(scope="session")
def dist(packages: Node) -> Path:
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
def half_chromium(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same with a WebGPU adapter that has float16 arithmetic."""
    found = half_adapter_browser(chromium, tmp_path_factory.mktemp("half-adapter") / "chromium")
    if isinstance(found, str):
        pytest.skip(found)
    return str(found)


@pytest.fixture(scope="session")
def narrow_network() -> S2MNet:
    """S2M-Net at 96 px with a few channels, its logits away from the threshold."""
    return decided(lively_network(**NARROW))


@pytest.fixture(scope="session")
def narrow_bundles(narrow_network: S2MNet, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Its bundles by precision."""

    def export(folder: Path) -> Path:
        folder.mkdir()
        checkpoint = folder / "narrow.safetensors"
        save_checkpoint(checkpoint, narrow_network, {"dataset": "none", "domain": "polyp", "class_names": ["polyp"]})
        for precision in ("float32", "float16", "float16-mixed"):
            find_or_export_bundle("onnx", checkpoint, precision, folder=folder)
        quantized = save_quantized(checkpoint, narrow_network, sample_images("polyp"), folder / "quantized")
        find_or_export_bundle("onnx", quantized, "int8", folder=folder)
        return folder

    folder = once(tmp_path_factory, "narrow", export)
    return {bundle.contract.precision: bundle.folder for bundle in map(open_bundle, sorted(folder.glob("*-onnx-*")))}


@pytest.fixture(scope="session")
def run_node(packages: Node) -> RunNode:
    """Run node in the app's folder; a failure is the test's, with all that was printed."""

    def run(*arguments: str, timeout: float = 300, **variables: str) -> str:
        done = subprocess.run(
            [packages.program, *arguments],
            cwd=APP,
            env={**packages.environment, "S2M_EDGE_PYTHON": sys.executable, **variables},
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
    """Bundles at 96 px: two precisions, three grey classes, one that slides, one to be changed, one with false golden
    outputs, one with the guard of the polyp network."""
    folder = tmp_path_factory.mktemp("web-bundles")
    classes = folder / "classes.safetensors"
    network = lively_network(classes=3, in_channels=1, seed=3)
    save_checkpoint(
        classes, network, {"dataset": "sunnybrook_lv", "domain": "cardiac", "class_names": ["wall", "cavity"]}
    )
    sliding = folder / "sliding.safetensors"
    trained = {"dataset": "none", "domain": "polyp", "class_names": ["polyp"], "fit": "window"}
    save_checkpoint(sliding, load_model(small_checkpoint), {**trained, "test_dice": 0.5, "test_dice_window": 0.75})
    bundles = {
        "float32": find_or_export_bundle("onnx", small_checkpoint, folder=folder).folder,
        "float16": find_or_export_bundle("onnx", small_checkpoint, "float16", folder=folder).folder,
        "classes": find_or_export_bundle("onnx", classes, folder=folder).folder,
        # Its weights are those of "float32": in the same folder it would be found instead of exported.
        "sliding": find_or_export_bundle("onnx", sliding, folder=folder / "sliding").folder,
    }
    bundles["otherArtifact"] = _renamed(bundles["float32"], folder / "changed", "other-artifact")
    bundles["otherGolden"] = _renamed(bundles["float32"], folder / "golden", "other-golden")
    _shift_golden(bundles["otherGolden"])
    bundles["guarded"] = _renamed(bundles["float32"], folder / "guard", "guarded")
    _add_guard(bundles["guarded"])
    return bundles


def _renamed(bundle: Path, copy: Path, name: str) -> Path:
    """A copy whose contract names another network, so that the page lists it under another name."""
    shutil.copytree(bundle, copy)
    change_contract(copy, lambda values: values["network"].update(name=name))
    return copy


def _shift_golden(bundle: Path) -> None:
    """Other outputs, hashed as they are then: only the self-test can see it."""
    from dataclasses import replace

    from s2m_edge.deploy.golden import GOLDEN_FILE, read_golden, write_golden

    path = bundle / GOLDEN_FILE
    golden, metadata = read_golden(path)
    kept = {key: value for key, value in metadata.items() if not key.startswith("name.") and key != "count"}
    write_golden(path, [replace(entry, logits=entry.logits + np.float32(0.05)) for entry in golden], kept)
    change_contract(bundle, lambda values: values["files"].update({GOLDEN_FILE: file_sha256(path)}))


def _add_guard(bundle: Path) -> None:
    """What polyp pictures look like, which hardly depends on the network's size."""
    guard = guard_beside(read_header(locate_checkpoint("polyp")))
    assert guard is not None
    path = shutil.copyfile(guard, bundle / GUARD_FILE)
    change_contract(bundle, lambda values: values["files"].update({GUARD_FILE: file_sha256(path)}))


def pytest_configure(config: pytest.Config) -> None:
    """Nothing of this looks for proxies: everything is on this machine."""
    os.environ.setdefault("NO_PROXY", "localhost,127.0.0.1")
