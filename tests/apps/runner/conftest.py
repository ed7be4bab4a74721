"""Fixtures: the board's program, and small ExecuTorch bundles for it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from once import once
from runner_support import Run, run_program
from s2m_edge.checkpoint import network_spec, read_header
from s2m_edge.deploy.precision import SPECTRAL_LOWERINGS, SpectralLowering
from s2m_edge.native import build_library, find_cmake, find_compiler
from s2m_edge.network.model import S2MNet
from s2m_edge.samples import sample_images
from s2m_edge.targets.export import export_bundle
from s2m_edge.targets.registry import find_target


@pytest.fixture(scope="session")
def native_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, built for this machine."""
    pytest.importorskip("executorch")
    if find_compiler() is None or find_cmake() is None:
        pytest.skip("no C++ compiler or no CMake: the board's program cannot be built")
    from s2m_edge.apps.runner.build import console_runner

    return once(tmp_path_factory, "console-runner", lambda place: build_library(console_runner()))


@pytest.fixture(scope="session")
def run(native_program: Path) -> Run:
    """Runs the program with the given words."""
    return lambda *words: run_program(native_program, *words)


@pytest.fixture(scope="session")
def board_bundles(
    small_checkpoint: Path, small_model: S2MNet, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """A bundle at 96 x 96 for each lowering of the spectral filter, with one golden input (emulation is slow)."""
    pytest.importorskip("executorch")

    def export(place: Path, spectral: SpectralLowering) -> Path:
        export_bundle(
            find_target("executorch"),
            small_model,
            network_spec(read_header(small_checkpoint)),
            precision="float32",
            spectral=spectral,
            images=sample_images("polyp")[:1],
            out=place,
        )
        return place

    return {
        spectral: once(tmp_path_factory, f"board-bundles/{spectral}", partial(export, spectral=spectral))
        for spectral in SPECTRAL_LOWERINGS
    }


@pytest.fixture(scope="session")
def bundle(board_bundles: dict[str, Path]) -> Path:
    return board_bundles["matmul"]
