"""Lowering shares the records of where nodes come from, and changes neither them nor PyTorch."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.fx.traceback import NodeSource

from networks import plain_u_net
from s2m_edge.targets.base import LoweringRequest
from s2m_edge.targets.provenance import shared_provenance
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


def test_records_are_shared_while_a_network_is_lowered_and_copied_afterwards(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    exporter = find_target("onnx").make_exporter()
    seen: list[bool] = []
    lower = type(exporter).lower
    monkeypatch.setattr(type(exporter), "lower", lambda self, request: (seen.append(shared()), lower(self, request))[1])
    exporter.export(LoweringRequest(*plain_u_net(32, 32)), tmp_path)
    assert seen == [True]
    assert not shared()


def test_a_failure_and_the_last_of_several_threads_restore_what_was():
    with pytest.raises(RuntimeError, match="cannot be lowered"), shared_provenance():
        raise RuntimeError("cannot be lowered")
    assert not shared()
    entered, leave = threading.Event(), threading.Event()

    def other() -> None:
        with shared_provenance():
            entered.set()
            leave.wait(60)

    with shared_provenance():
        thread = threading.Thread(target=other)
        thread.start()
        assert entered.wait(60)
    assert shared(), "another thread is inside"
    leave.set()
    thread.join()
    assert not shared()
