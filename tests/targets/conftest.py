"""Bundles of every target, exported once for all tests that look at them."""

from __future__ import annotations

from pathlib import Path

import pytest

from once import once
from s2m_edge.checkpoint import load_model, network_spec, read_header
from s2m_edge.network.model import S2MNet
from s2m_edge.targets.export import ExportResult, export_bundle
from s2m_edge.targets.registry import Target


@pytest.fixture(scope="session")
def small_checkpoints(small_checkpoint: Path, small_quantized_checkpoint: Path) -> dict[bool, Path]:
    """By whether it is quantized."""
    return {False: small_checkpoint, True: small_quantized_checkpoint}


@pytest.fixture(scope="session")
def small_models(small_checkpoints: dict[bool, Path]) -> dict[bool, S2MNet]:
    """The networks of `small_checkpoints`, as stored."""
    return {quantized: load_model(path) for quantized, path in small_checkpoints.items()}


@pytest.fixture(scope="session")
def exported(small_models, small_checkpoints, polyp_images: list[Path], tmp_path_factory: pytest.TempPathFactory):
    """Export a case once, whichever tests ask for it."""
    made: dict[str, ExportResult] = {}

    def get(target: Target, precision: str, spectral: str) -> ExportResult:
        key = f"{target.name}-{precision}-{spectral}"
        if key not in made:
            quantized = precision == "int8"

            def export(place: Path) -> ExportResult:
                return export_bundle(
                    target,
                    small_models[quantized],
                    network_spec(read_header(small_checkpoints[quantized])),
                    precision=precision,  # type: ignore[arg-type]
                    spectral=spectral,  # type: ignore[arg-type]
                    images=polyp_images[:4],
                    out=place,
                )

            made[key] = once(tmp_path_factory, f"bundles/{key}", export)
        return made[key]

    return get
