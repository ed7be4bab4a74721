"""Bundles of the bundled checkpoints at their full size, exported once for all tests that look at them."""

from __future__ import annotations

from pathlib import Path

import pytest

from once import once
from s2m_edge.checkpoint import load_model, network_spec, read_header
from s2m_edge.samples import sample_images
from s2m_edge.targets.export import ExportResult, export_bundle
from s2m_edge.targets.registry import Target


def bundled_export(factory: pytest.TempPathFactory, name: str, target: Target) -> ExportResult:
    """A bundled checkpoint in float32, checked on its own samples; half a minute for the first that asks."""
    header = read_header(name)

    def export(place: Path) -> ExportResult:
        return export_bundle(
            target,
            load_model(name),
            network_spec(header),
            precision="float32",
            spectral=target.default_lowering,
            images=sample_images(header.provenance["domain"]),
            out=place,
        )

    return once(factory, f"bundles/bundled-{name}-{target.name}", export)
