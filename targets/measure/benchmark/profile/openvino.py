"""Profiling OpenVINO: the CPU plugin's counters, whose nodes name the IR's nodes that they execute."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2m_edge.deploy.bundle import Bundle
from s2m_edge.targets.measure.benchmark.profile.blocks import Place, Profile, locate, make_profile
from s2m_edge.targets.openvino.run import OpenVINORunner

METHOD = "OpenVINO's performance counters; a node that the plugin made counts to the node whose result it takes"
_WARM_UP = 2


class ProfilingRunner(OpenVINORunner):
    """A runner whose plugin counts."""

    def plugin_options(self) -> dict[str, Any]:
        return {**super().plugin_options(), "PERF_COUNT": True}


def profile_openvino(bundle: Bundle, fitted: NDArray[np.uint8], threads: int, rounds: int) -> Profile:
    """Profile a bundle over `rounds` predictions."""
    contract = bundle.contract
    runner = ProfilingRunner(bundle.artifact, bundle.interface, contract.preprocessing, contract.precision, threads)
    request = runner.compiled.create_infer_request()
    image = np.ascontiguousarray(fitted)[None]
    for _ in range(_WARM_UP):
        request.infer([image])
    times: dict[str, float] = defaultdict(float)
    total = 0.0
    for _ in range(rounds):
        request.infer([image])
        total += request.latency / rounds
        for node in request.profiling_info:
            times[node.node_name] += node.real_time.total_seconds() * 1e3 / rounds
    places = place_nodes(runner.compiled.get_runtime_model())
    nodes = [(places.get(name) or locate(name), time) for name, time in times.items() if time]
    return make_profile(nodes, total, METHOD)


def place_nodes(model: Any) -> dict[str, Place]:
    """The place of every node of the plugin's graph: by the names of the nodes that it was made of, else by its own,
    else that of what it takes.

    Args:
        model: `CompiledModel.get_runtime_model()`.
    """
    places: dict[str, Place] = {}
    for node in model.get_ordered_ops():
        name = node.get_friendly_name()
        information = node.get_rt_info()
        originals = str(information["originalLayersNames"].value) if "originalLayersNames" in information else ""
        place = next((found for text in originals.split(",") if (found := locate(text))), None) or locate(name)
        if place is None:
            sources = (node.input_value(index).get_node().get_friendly_name() for index in range(node.get_input_size()))
            place = next((places[source] for source in sources if source in places), None)
        if place is not None:
            places[name] = place
    return places
