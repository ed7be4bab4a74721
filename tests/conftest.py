"""Fixtures: real pictures, a small checkpoint, and the command line."""

from __future__ import annotations

import gc
import os
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:  # several processes share the cores; threads that wait for each other would not
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

from command_line import Run, command_line
from once import once
from s2m_edge.checkpoint import load_model, save_checkpoint
from s2m_edge.network.model import S2MNet
from support import decided, lively_network, save_quantized

POLYPS = Path(__file__).parent / "data" / "polyps"


def pytest_configure(config: pytest.Config) -> None:
    """Kernels that tests build stay out of the user's cache, whose presence would change what the eager op runs."""
    cache = getattr(config, "cache", None)  # none with -p no:cacheprovider
    if cache is not None:
        os.environ["S2M_EDGE_CACHE"] = str(cache.mkdir("s2m-edge"))
    if "PYTEST_XDIST_WORKER" not in os.environ:
        config.pluginmanager.register(FailuresAtOnce(config), "failures-at-once")


def pytest_collection_finish() -> None:
    """Modules and tests stay to the end: the collector of garbage need not look at them again and again."""
    from s2m_edge.targets.lean import THRESHOLDS

    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)


class FailuresAtOnce:
    """Prints what failed when it fails: a run that is ended before its summary has said it all the same."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        reporter = self.config.pluginmanager.getplugin("terminalreporter")
        if report.failed and isinstance(reporter, pytest.TerminalReporter):
            reporter.ensure_newline()
            reporter.write_line(f"{report.nodeid} ({report.when}) failed:")
            reporter.write_line(report.longreprtext)


@pytest.fixture(scope="session")
def polyp_images() -> list[Path]:
    """Twenty real colonoscopy pictures."""
    found = sorted(POLYPS.glob("*.jpg"))
    assert len(found) == 20
    return found


@pytest.fixture(scope="session")
def small_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint at 96 x 96 with random weights, for what does not depend on accuracy."""
    model = decided(lively_network())
    path = tmp_path_factory.mktemp("checkpoint") / "small.safetensors"
    save_checkpoint(path, model, {"dataset": "none", "domain": "polyp", "class_names": ["polyp"]})
    return path


@pytest.fixture(scope="session")
def small_model(small_checkpoint: Path) -> S2MNet:
    """The network of `small_checkpoint`, as stored."""
    return load_model(small_checkpoint)


@pytest.fixture(scope="session")
def small_quantized_checkpoint(
    small_checkpoint: Path, small_model: S2MNet, polyp_images: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The int8 checkpoint of `small_checkpoint`, calibrated on eight real pictures."""

    return once(
        tmp_path_factory,
        "quantized",
        lambda place: save_quantized(small_checkpoint, small_model, polyp_images[:8], place),
    )


@pytest.fixture
def run(capsys, monkeypatch) -> Run:
    """The command line, run in this process."""
    return command_line(capsys, monkeypatch)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch) -> Path:
    """An empty working folder."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder
