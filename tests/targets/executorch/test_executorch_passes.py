"""Passes of XNNPACK that have nothing to do are left out, and the program stays the same to the byte."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from s2m_edge.targets.executorch import export
from s2m_edge.targets.executorch.passes import LOOKS_FOR, has_work, idle_passes_left_out

executorch = pytest.importorskip("executorch", reason="ExecuTorch is not installed")


class Plain(nn.Module):
    """Nothing that a pass looks for."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1, groups=8)

    def forward(self, image: Tensor) -> Tensor:
        return torch.cat([torch.relu(self.one(image)), self.other(self.one(image))], 1)


class Rich(nn.Module):
    """What each of the passes looks for."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.first = nn.BatchNorm2d(3), nn.Conv2d(3, 8, 3, padding=1)
        self.fused, self.slope = nn.BatchNorm2d(8), nn.PReLU()
        self.line, self.mixed = nn.Conv1d(8, 8, 3, padding=1), nn.Linear(8, 8)

    def forward(self, image: Tensor) -> Tensor:
        found = self.slope(self.fused(self.first(self.norm(image))))
        found = nn.functional.max_pool2d(found, 2)
        large = nn.functional.interpolate(found, scale_factor=2.0, mode="bilinear", align_corners=False)
        line = self.mixed(self.line(large.flatten(2)).transpose(1, 2)).softmax(-1)
        return torch.cat([line] * 6, 1)


def program_of(network: nn.Module) -> Any:
    with torch.no_grad():
        return torch.export.export(network.eval(), (torch.rand(1, 3, 8, 8),), strict=False)


@contextlib.contextmanager
def _all_of_them() -> Iterator[None]:
    yield


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the passes that ran since."""
    from executorch.backends.xnnpack import _passes

    honest, found = _passes._transform, []

    def noted(program: Any, transform_pass: Any) -> Any:
        found.append(type(transform_pass).__name__)
        return honest(program, transform_pass)

    monkeypatch.setattr(_passes, "_transform", noted)
    return found


@pytest.mark.parametrize("network", [Plain, Rich])
def test_the_program_is_the_same_to_the_byte(network: type[nn.Module], ran: list[str], monkeypatch):
    torch.manual_seed(3)
    program = program_of(network())
    own = bytes(export.lower_to_xnnpack(program).buffer)
    needed = list(ran)
    monkeypatch.setattr(export, "idle_passes_left_out", _all_of_them)
    assert own == bytes(export.lower_to_xnnpack(program).buffer)
    every = ran[len(needed) :]
    assert set(LOOKS_FOR) <= set(every), "the names are those of XNNPACK's passes"
    if network is Plain:
        assert not set(LOOKS_FOR) & set(needed)
        assert set(needed) == set(every) - set(LOOKS_FOR)
    else:
        assert set(LOOKS_FOR) & set(needed)


def test_a_pass_that_is_not_known_runs():
    assert has_work("PassOfATomorrow", program_of(Plain()))


def test_afterwards_the_library_is_as_it_was():
    from executorch.backends.xnnpack import _passes

    before = _passes._transform
    with idle_passes_left_out():
        assert _passes._transform is not before
    assert _passes._transform is before


def test_the_patterns_that_passes_compile_hold_the_node_that_is_looked_for():
    from executorch.backends.xnnpack.partition.graphs import bilinear_2d, sdpa

    for name, graphs in (("ConvertToUpsampleBilinear2d", bilinear_2d), ("ConvertToSDPAPass", sdpa)):
        for pattern in graphs.get_graphs():
            assert any(map(LOOKS_FOR[name], pattern.graph.nodes)), name
