"""Profiling ONNX Runtime: its own profile, whose nodes carry the paths that the exporter gave them."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2m_edge.deploy.bundle import Bundle
from s2m_edge.errors import LoweringError
from s2m_edge.targets.measure.benchmark.profile.blocks import Place, Profile, locate, make_profile
from s2m_edge.targets.onnx.run import ONNXRunner

METHOD = "ONNX Runtime's profile; a node that its optimizer made counts to the node whose result it takes"
_WARM_UP = 2
_RUN, _KERNEL = "model_run", "_kernel_time"
_BLOCKED = "_nchwc"  # ONNX Runtime's convolutions on blocked channels


class ProfilingRunner(ONNXRunner):
    """A runner whose session writes a profile into `folder`."""

    folder: str

    def session_options(self) -> Any:
        options = super().session_options()
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(self.folder) / "profile")
        options.optimized_model_filepath = str(Path(self.folder) / "optimized.onnx")
        return options


def profile_onnx(bundle: Bundle, fitted: NDArray[np.uint8], threads: int, rounds: int) -> Profile:
    """Profile a bundle over `rounds` predictions."""
    import onnx

    contract = bundle.contract
    with tempfile.TemporaryDirectory() as folder:
        runner_class = type("Runner", (ProfilingRunner,), {"folder": folder})
        runner = runner_class(bundle.artifact, bundle.interface, contract.preprocessing, contract.precision, threads)
        for _ in range(_WARM_UP + rounds):
            runner.predict(fitted)
        events = json.loads(Path(runner.session.end_profiling()).read_text(encoding="utf-8"))
        optimized, original = onnx.load(Path(folder) / "optimized.onnx"), onnx.load(bundle.artifact)
    runs = [event for event in events if event["name"] == _RUN][_WARM_UP:]
    kernels = [event for event in events if event["name"].endswith(_KERNEL) and event["ts"] >= runs[0]["ts"]]
    kernels.sort(key=lambda event: event["ts"])
    # Every run executes the nodes in the order in which the optimized model holds them; names do not always tell them.
    operators = [node.op_type for node in optimized.graph.node]
    if [event["args"]["op_name"] for event in kernels] != operators * len(runs):
        raise LoweringError("ONNX Runtime's profile does not follow its optimized graph")
    places = place_nodes(optimized, original) * len(runs)
    nodes = [(place, event["dur"] / 1e3 / rounds) for place, event in zip(places, kernels, strict=True)]
    return make_profile(nodes, sum(event["dur"] for event in runs) / 1e3 / rounds, METHOD)


def place_nodes(optimized: Any, original: Any) -> list[Place | None]:
    """The place of every node of an optimized model, in its order.

    A place comes from the node's name; from that of a weight that it takes; from that of its result, which is what the
    optimizer names a convolution after; else from the node whose result it takes.

    Args:
        optimized, original: `onnx.ModelProto`.
    """
    results = {name: place for node in original.graph.node if (place := locate(node.name)) for name in node.output}
    weights = {entry.name for entry in optimized.graph.initializer}
    places: list[Place | None] = []
    produced: dict[str, Place] = {}
    for node in optimized.graph.node:
        texts = [node.name, *(value for value in node.input if value in weights)]
        values = [node.name.removesuffix(_BLOCKED), *node.output]
        place = next((found for text in texts if (found := locate(text))), None)
        place = place or next((results[value] for value in values if value in results), None)
        place = place or next((produced[value] for value in node.input if value in produced), None)
        places.append(place)
        if place is not None:
            produced.update(dict.fromkeys(node.output, place))
    return places
