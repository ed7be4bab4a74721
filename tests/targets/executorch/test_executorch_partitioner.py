"""What XNNPACK takes of a program falls into parts of which none waits for itself."""

from __future__ import annotations

import random

import pytest
import torch
from torch.fx import Graph, Node

from networks import global_filter
from s2m_edge.targets.executorch import partitioner
from s2m_edge.targets.executorch.export import lower_to_xnnpack, prepare_for_xnnpack
from s2m_edge.targets.executorch.partitioner import parts_in_order, wait_for_one_another
from s2m_edge.targets.rewrites.complex_numbers import in_real_numbers


def graph_of(edges: dict[str, str]) -> dict[str, Node]:
    """A graph of operators, each with the names of its sources, in an order in which they can be run."""
    graph, nodes = Graph(), {}
    for name, sources in edges.items():
        nodes[name] = graph.call_function(torch.add, tuple(nodes[source] for source in sources), name=name)
    return nodes


def names(parts: list[list[Node]]) -> set[str]:
    return {"".join(node.name for node in part) for part in parts}


def test_a_part_that_takes_what_depends_on_it_is_cut():
    nodes = graph_of({"a": "", "b": "a", "c": "ab", "d": "c"})  # b is not taken
    graph, taken = nodes["a"].graph, [nodes["a"], nodes["c"], nodes["d"]]
    assert wait_for_one_another(graph, [taken])
    assert names(parts_in_order(graph, taken)) == {"a", "cd"}


def test_two_parts_that_take_from_each_other_are_cut_though_neither_waits_for_itself():
    nodes = graph_of({"a": "", "b": "", "p": "a", "q": "b", "c": "q", "d": "p"})  # p and q are not taken
    graph = nodes["a"].graph
    crossed = [[nodes["a"], nodes["c"]], [nodes["b"], nodes["d"]]]
    assert all(not wait_for_one_another(graph, [part]) for part in crossed)
    assert wait_for_one_another(graph, crossed)
    assert names(parts_in_order(graph, [node for part in crossed for node in part])) == {"a", "b", "c", "d"}


def test_what_hangs_together_stays_together():
    nodes = graph_of({"a": "", "b": "a", "c": "a", "d": "bc", "x": "d", "e": "x", "f": "ea", "g": ""})  # x is not taken
    graph = nodes["a"].graph
    taken = [node for name, node in nodes.items() if name != "x"]
    parts = parts_in_order(graph, taken)
    assert names(parts) == {"abcd", "ef", "g"}
    assert not wait_for_one_another(graph, parts)


@pytest.mark.parametrize("seed", range(20))
def test_no_part_of_any_graph_waits_for_another(seed: int):
    chance = random.Random(seed)
    letters = [chr(ord("a") + index) for index in range(24)]
    edges = {letter: "".join(chance.sample(letters[:index], min(index, 2))) for index, letter in enumerate(letters)}
    nodes = graph_of(edges)
    graph = nodes["a"].graph
    taken = [node for node in nodes.values() if chance.random() < 0.7]
    parts = parts_in_order(graph, taken)
    assert sorted(node.name for part in parts for node in part) == sorted(node.name for node in taken)
    assert not wait_for_one_another(graph, parts)
    assert len(parts) < len(taken)


def test_a_program_that_executorch_alone_cannot_cut_is_lowered(monkeypatch: pytest.MonkeyPatch):
    network, spec = global_filter(24, 16)
    image = torch.rand(1, *spec.preprocessing.image_shape)
    prepared = in_real_numbers(prepare_for_xnnpack(network, image), image)

    def lowered() -> bytes:
        return lower_to_xnnpack(torch.export.export(prepared, (image,), strict=False)).buffer

    assert len(lowered()) > 1000
    monkeypatch.setattr(partitioner, "wait_for_one_another", lambda graph, parts: False)
    with pytest.raises(AssertionError, match="dependency cycles"):  # else this module has nothing to do any more
        lowered()
