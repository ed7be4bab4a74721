"""Lowering shares the records of where nodes come from and seldom looks for garbage, and changes nothing for good."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.fx.traceback import NodeSource

from networks import plain_u_net
from s2m_edge.targets.base import LoweringRequest
from s2m_edge.targets.lean import THRESHOLDS, lean_lowering, rare_collections, shared_provenance
from s2m_edge.targets.registry import find_target


class Normed(nn.Module):
    """Decomposes into operators that each remember what they were."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, image: Tensor) -> Tensor:
        return nn.functional.silu(self.norm(self.first(image))).mean((2, 3)).softmax(1)


def histories(way: Callable[[], Any]) -> list[tuple[str, Any]]:
    """Of every node of a program that was decomposed three times, without the graphs' addresses."""

    def of(source: dict[str, Any]) -> tuple:
        before = tuple(of(entry) for entry in source["from_node"])
        return source["name"], source["target"], source["pass_name"], source["action"], before

    with torch.no_grad(), way():
        program = torch.export.export(Normed().eval(), (torch.rand(1, 3, 8, 8),), strict=False)
        for _ in range(3):
            program = program.run_decompositions()
    return [(node.name, [of(one.to_dict()) for one in node.meta.get("from_node", [])]) for node in program.graph.nodes]


def depth(sources: Any) -> int:
    return 1 + max((depth(source[4]) for source in sources), default=0) if sources else 0


def test_the_history_of_every_node_is_the_same():
    copied = histories(contextlib.nullcontext)
    assert max(depth(sources) for _, sources in copied) >= 4, "it goes back to the module that was exported"
    assert histories(shared_provenance) == copied


def shared() -> bool:
    source = NodeSource(None, "a pass")
    return deepcopy([source])[0] is source


@pytest.fixture
def thresholds() -> Iterator[Callable[..., None]]:
    """Sets the collector's for one test; those that the tests run with are as rare as lowering's."""
    before = gc.get_threshold()
    yield gc.set_threshold
    gc.set_threshold(*before)


OWN = (700, 10, 10)
"""Python's own."""


def test_records_are_shared_and_collections_rare_while_a_network_is_lowered_and_not_afterwards(
    thresholds: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    exporter = find_target("onnx").make_exporter()
    seen: list[tuple[bool, tuple[int, int, int]]] = []
    lower = type(exporter).lower

    def watched(self: Any, request: LoweringRequest) -> Any:
        seen.append((shared(), gc.get_threshold()))
        return lower(self, request)

    monkeypatch.setattr(type(exporter), "lower", watched)
    thresholds(*OWN)
    exporter.export(LoweringRequest(*plain_u_net(32, 32)), tmp_path)
    assert seen == [(True, THRESHOLDS)]
    assert not shared()
    assert gc.get_threshold() == OWN


def test_a_failure_restores_what_was(thresholds: Callable[..., None]):
    thresholds(*OWN)
    with pytest.raises(RuntimeError, match="cannot be lowered"), lean_lowering():
        raise RuntimeError("cannot be lowered")
    assert not shared()
    assert gc.get_threshold() == OWN


@pytest.mark.parametrize("chosen", [(0, 10, 10), (90_000, 30, 30)], ids=["off", "rarer"])
def test_a_choice_of_somebody_for_the_collector_stays(chosen: tuple[int, int, int], thresholds: Callable[..., None]):
    thresholds(*chosen)
    with rare_collections():
        assert gc.get_threshold() == chosen
    assert gc.get_threshold() == chosen
