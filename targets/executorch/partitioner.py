"""Which parts of a program XNNPACK takes: as ExecuTorch chooses, unless parts would wait for one another.

ExecuTorch merges groups of operators and does not see every path that leaves a part and comes back to it (1.5.1), such
as between the halves of a spectrum that are cut and joined: "Invalid partition, found dependency cycles".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any

from torch.fx import Graph, Node


@cache
def partitioner_type() -> Callable[..., Any]:
    """XNNPACK's partitioner, whose parts never wait for one another."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from torch.fx.passes.infra.partitioner import Partition

    class AcyclicPartitioner(XnnpackPartitioner):
        def generate_partitions(self, ep: Any) -> list[Any]:
            found = super().generate_partitions(ep)
            graph = ep.graph_module.graph
            if not wait_for_one_another(graph, [partition.nodes for partition in found]):
                return found
            taken = {node for partition in found for node in partition.nodes}
            parts = parts_in_order(graph, (node for node in taken if node.op == "call_function"))
            part_of = {node: part for part in parts for node in part}
            # Weights belong to a part that uses them; where several do, ExecuTorch copies them.
            for weight in (node for node in graph.nodes if node in taken and node not in part_of):
                for part in [part_of[user] for user in weight.users if user in part_of][:1]:
                    part.append(weight)
            return [Partition(number, part) for number, part in enumerate(parts)]

    return AcyclicPartitioner


def wait_for_one_another(graph: Graph, parts: Sequence[Iterable[Node]]) -> bool:
    """Whether some part could not be run as one: what it takes depends on what it gives."""
    of = {node: number for number, part in enumerate(parts) for node in part}
    units: dict[Any, set[Any]] = {}  # a part's number, or an operator outside of all
    for node in graph.nodes:
        unit = of.get(node, node)
        sources = {of.get(source, source) for source in node.all_input_nodes} - {unit}
        units.setdefault(unit, set()).update(sources)
    ready = [unit for unit, sources in units.items() if not sources]
    users: dict[Any, list[Any]] = {unit: [] for unit in units}
    for unit, sources in units.items():
        for source in sources:
            users[source].append(unit)
    waiting = {unit: len(sources) for unit, sources in units.items()}
    done = 0
    while ready:
        unit = ready.pop()
        done += 1
        for user in users[unit]:
            waiting[user] -= 1
            if not waiting[user]:
                ready.append(user)
    return done < len(units)


def parts_in_order(graph: Graph, taken: Iterable[Node]) -> list[list[Node]]:
    """Operators in parts that can be run one after the other, as large as the number of ways out and back allows.

    An operator's depth is how often a path to it leaves `taken` and comes back. Depth never falls along a path, and a
    path out and back raises it, so neighbours of one depth depend on no other part of that depth.
    """
    among = set(taken)
    depth: dict[Node, int] = {}
    part_of: dict[Node, int] = {}
    parts: dict[int, list[Node]] = {}
    for node in graph.nodes:  # each behind its sources
        inside = node in among
        sources = node.all_input_nodes
        depths = [depth[source] + (inside and source not in among) for source in sources]
        depth[node] = max(depths, default=0 if inside else -1)
        if not inside:
            continue
        joined = {part_of[source] for source in sources if source in among and depth[source] == depth[node]}
        number = min(joined, default=len(part_of))
        merged = [*(other for part in sorted(joined) for other in parts.pop(part)), node]
        parts[number] = merged
        part_of.update(dict.fromkeys(merged, number))
    place = {node: index for index, node in enumerate(graph.nodes)}
    return [sorted(part, key=place.__getitem__) for part in parts.values()]
