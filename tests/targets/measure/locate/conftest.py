"""Artifacts of a tiny network, sound and with a fault."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from torch import nn

from s2m_edge.deploy.bundle import Bundle, draft_contract
from s2m_edge.deploy.precision import Precision
from s2m_edge.deploy.spec import NetworkSpec
from s2m_edge.targets.base import LoweringRequest
from s2m_edge.targets.export import spectral_form
from s2m_edge.targets.registry import find_target

Lower = Callable[..., Bundle]


@pytest.fixture(scope="session")
def lower(tmp_path_factory: pytest.TempPathFactory) -> Lower:
    """Lower `network` (or what a fault made of it) and give it out as the artifact of the sound one."""

    def make(target: str, network: nn.Module, spec: NetworkSpec, precision: Precision = "float32") -> Bundle:
        row = find_target(target)
        folder: Path = tmp_path_factory.mktemp(f"{target}-{precision}")
        exporter = row.make_exporter()
        request = LoweringRequest(network, spec, precision, row.default_lowering)
        artifact = exporter.export(request, folder)
        form = spectral_form(network, row, None)
        contract = draft_contract(row.name, exporter.interface, spec, precision, form, artifact)
        return Bundle(folder, contract)

    return make
